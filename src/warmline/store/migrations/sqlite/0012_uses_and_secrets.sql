-- compatible from 1

-- How often topics were matched on each day (days since the epoch, UTC), by partition of the outbox.
CREATE TABLE topic_uses (
    project_id TEXT NOT NULL,
    day INTEGER NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, day, topic, partition)
);

-- What functions and APIs of projects are given; `sealed` as in connection_secrets.
CREATE TABLE project_secrets (
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    set_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, name)
);
