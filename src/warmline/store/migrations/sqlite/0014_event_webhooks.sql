-- compatible from 1

-- Who is told of events. `kinds` are separated by commas; secrets as in connection_secrets; `project_id` '': every one.
CREATE TABLE event_receivers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    kinds TEXT NOT NULL,
    project_id TEXT NOT NULL,
    paused BOOLEAN NOT NULL,
    secret BLOB NOT NULL,
    previous BLOB NOT NULL,
    previous_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL
);

-- Events that a receiver has not accepted; their content is in the log.
CREATE TABLE event_queue (
    receiver_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    partition INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at BIGINT NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    dead BOOLEAN NOT NULL DEFAULT false,
    PRIMARY KEY (receiver_id, session_id, sequence)
);
CREATE INDEX event_queue_due ON event_queue (receiver_id, next_at, created_at) WHERE NOT dead;
CREATE INDEX event_queue_session ON event_queue (session_id);
CREATE INDEX event_queue_age ON event_queue (created_at);
