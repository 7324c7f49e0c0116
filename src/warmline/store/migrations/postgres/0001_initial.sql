-- compatible from 1

CREATE TABLE sessions (
    id text PRIMARY KEY,
    info text NOT NULL,
    snapshot text NOT NULL,
    last_sequence bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE session_events (
    session_id text NOT NULL,
    sequence bigint NOT NULL,
    id text NOT NULL,
    at bigint NOT NULL,
    type text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (session_id, sequence)
);

-- Which changes a session has seen: the events first..last, none when last < first.
CREATE TABLE session_changes (
    session_id text NOT NULL,
    dedup_key text NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (session_id, dedup_key)
);

-- Effects that wait, and dead letters. A row that was delivered is gone.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition integer NOT NULL,
    stream_key text NOT NULL,
    session_id text NOT NULL,
    kind text NOT NULL,
    body text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    next_at bigint NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    created_at bigint NOT NULL
);
CREATE INDEX outbox_pending ON outbox (partition, id) WHERE state = 'pending';
CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead';

CREATE TABLE leases (
    partition integer PRIMARY KEY,
    node text NOT NULL DEFAULT '',
    incarnation text NOT NULL DEFAULT '',
    expires bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 0
);
INSERT INTO leases (partition) SELECT generate_series(0, 63);

CREATE TABLE nodes (
    name text PRIMARY KEY,
    expires bigint NOT NULL
);

-- Webhooks. The body is forgotten once it is processed; the key stays to recognise duplicates.
CREATE TABLE inbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection_id text NOT NULL,
    endpoint text NOT NULL,
    key text NOT NULL,
    remote_id text NOT NULL,
    received_at bigint NOT NULL,
    event_at bigint NOT NULL,
    body bytea NOT NULL,
    state text NOT NULL DEFAULT 'new',
    attempts integer NOT NULL DEFAULT 0,
    UNIQUE (connection_id, key)
);
CREATE INDEX inbox_pending ON inbox (id) WHERE state IN ('new', 'parked');
CREATE INDEX inbox_finished ON inbox (received_at) WHERE state IN ('done', 'dead');

CREATE TABLE timers (
    key text PRIMARY KEY,
    session_id text NOT NULL,
    kind text NOT NULL,
    due bigint NOT NULL,
    handoff_id text NOT NULL
);

CREATE TABLE handoff_links (
    handoff_id text PRIMARY KEY,
    session_id text NOT NULL,
    connection_id text NOT NULL,
    remote_id text NOT NULL,
    data text NOT NULL
);
CREATE UNIQUE INDEX handoff_links_remote ON handoff_links (connection_id, remote_id) WHERE remote_id <> '';

-- A turn that was begun has no record yet.
CREATE TABLE turns (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id text NOT NULL,
    turn_id text NOT NULL,
    record bytea,
    UNIQUE (session_id, turn_id)
);

CREATE TABLE memory (
    session_id text PRIMARY KEY,
    memory bytea NOT NULL
);

CREATE TABLE connections (
    id text PRIMARY KEY,
    provider text NOT NULL,
    name text NOT NULL,
    project_id text NOT NULL,
    "values" text NOT NULL,
    state text NOT NULL,
    state_reason text NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE connection_secrets (
    connection_id text NOT NULL,
    name text NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (connection_id, name)
);

CREATE TABLE connectors (
    id text PRIMARY KEY,
    token text NOT NULL UNIQUE,
    project_id text NOT NULL,
    host text NOT NULL,
    variant text NOT NULL,
    environment text NOT NULL,
    agent_name text NOT NULL,
    agent_avatar_url text NOT NULL,
    settings text NOT NULL
);

CREATE TABLE settings (
    key text PRIMARY KEY,
    value text NOT NULL
);
