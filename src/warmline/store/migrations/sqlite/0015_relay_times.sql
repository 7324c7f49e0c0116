-- compatible from 1

-- How long messages took between the customer and the contact centre, counted by the hour (hours since the epoch). The
-- bucket says how long: at most 2 ^ (bucket / 4) milliseconds. `leg`: up, down or failed.
CREATE TABLE relay_times (
    connection_id TEXT NOT NULL,
    hour INTEGER NOT NULL,
    leg TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    messages BIGINT NOT NULL,
    PRIMARY KEY (connection_id, hour, leg, bucket)
);

-- Lists that are narrowed to what is rare, or never was.
CREATE INDEX catalog_channel ON catalog (project_id, channel, updated_at, session_id);
CREATE INDEX catalog_connection ON catalog (project_id, connection_id, updated_at, session_id) WHERE connection_id <> '';
