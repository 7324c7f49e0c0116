-- compatible from 1

-- What the dashboard counts is read from these alone.
CREATE INDEX catalog_started ON catalog (project_id, started_at, environment, stage, messages);
CREATE INDEX catalog_handed_over ON catalog (project_id, started_at, environment, stage) WHERE handoff <> '';
CREATE INDEX handoff_facts_requested ON handoff_facts (
    project_id, requested_at, environment, connection_id, outcome, reason, accepted_at, joined_at
);
DROP INDEX catalog_began;
DROP INDEX handoff_facts_project;

-- Lists that are narrowed twice.
CREATE INDEX catalog_channel_connection ON catalog (project_id, channel, connection_id, updated_at, session_id)
WHERE connection_id <> '';

-- Always empty: only PostgreSQL finds texts by days.
CREATE TABLE spoken_undated (session_id TEXT PRIMARY KEY);
