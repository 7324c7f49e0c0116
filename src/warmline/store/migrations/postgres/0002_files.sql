-- compatible from 1

-- Files on their way between customers and live agents; forgotten when they expire.
CREATE TABLE files (
    id text PRIMARY KEY,
    session_id text NOT NULL,
    name text NOT NULL,
    mime_type text NOT NULL,
    content bytea NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX files_expiry ON files (expires_at);
