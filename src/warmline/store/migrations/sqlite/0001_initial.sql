-- compatible from 1

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    info TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    last_sequence INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE TABLE session_events (
    session_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (session_id, sequence)
);

-- Which changes a session has seen: the events first..last, none when last < first.
CREATE TABLE session_changes (
    session_id TEXT NOT NULL,
    dedup_key TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (session_id, dedup_key)
) WITHOUT ROWID;

-- Effects that wait, and dead letters. A row that was delivered is gone.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    stream_key TEXT NOT NULL,
    session_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL
);
CREATE INDEX outbox_pending ON outbox (partition, id) WHERE state = 'pending';
CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead';

CREATE TABLE leases (
    partition INTEGER PRIMARY KEY,
    node TEXT NOT NULL DEFAULT '',
    incarnation TEXT NOT NULL DEFAULT '',
    expires INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0
);
INSERT INTO leases (partition)
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 63) SELECT i FROM n;

CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

-- Webhooks. The body is forgotten once it is processed; the key stays to recognise duplicates.
CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connection_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    key TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    event_at INTEGER NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'new',
    attempts INTEGER NOT NULL DEFAULT 0,
    UNIQUE (connection_id, key)
);
CREATE INDEX inbox_pending ON inbox (id) WHERE state IN ('new', 'parked');
CREATE INDEX inbox_finished ON inbox (received_at) WHERE state IN ('done', 'dead');

CREATE TABLE timers (
    key TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    due INTEGER NOT NULL,
    handoff_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE handoff_links (
    handoff_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX handoff_links_remote ON handoff_links (connection_id, remote_id) WHERE remote_id <> '';

-- A turn that was begun has no record yet.
CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    record BLOB,
    UNIQUE (session_id, turn_id)
);

CREATE TABLE memory (
    session_id TEXT PRIMARY KEY,
    memory BLOB NOT NULL
);

CREATE TABLE connections (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    project_id TEXT NOT NULL,
    "values" TEXT NOT NULL,
    state TEXT NOT NULL,
    state_reason TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE connection_secrets (
    connection_id TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (connection_id, name)
);

CREATE TABLE connectors (
    id TEXT PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    host TEXT NOT NULL,
    variant TEXT NOT NULL,
    environment TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    agent_avatar_url TEXT NOT NULL,
    settings TEXT NOT NULL
);

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
