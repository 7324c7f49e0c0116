-- compatible from 1

-- The contact centres' own transcripts, and what is done to get them.
CREATE TABLE transcripts (
    handoff_id text PRIMARY KEY,
    session_id text NOT NULL,
    connection_id text NOT NULL,
    remote_id text NOT NULL,
    ended_at bigint NOT NULL,
    tries bigint NOT NULL,
    next_at bigint NOT NULL,
    content bytea
);
CREATE INDEX transcripts_due ON transcripts (next_at) WHERE next_at > 0;
CREATE INDEX transcripts_session ON transcripts (session_id);
