-- compatible from 1

-- The contact centres' own transcripts, and what is done to get them.
CREATE TABLE transcripts (
    handoff_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    ended_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    content BLOB
);
CREATE INDEX transcripts_due ON transcripts (next_at) WHERE next_at > 0;
CREATE INDEX transcripts_session ON transcripts (session_id);
