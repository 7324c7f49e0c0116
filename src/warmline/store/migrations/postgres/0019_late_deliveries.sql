-- compatible from 1

-- Effects that were delivered after failed attempts; the log tells of those that succeeded at once.
CREATE TABLE late_deliveries (
    row_id bigint PRIMARY KEY,
    session_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    message_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    delivered_at BIGINT NOT NULL
);
CREATE INDEX late_deliveries_session ON late_deliveries (session_id);
