-- compatible from 1

-- Who answers, while that is a live agent whose name is known.
ALTER TABLE catalog ADD COLUMN agent_name TEXT NOT NULL DEFAULT '';

-- Those that have ended are found without a look at those that have not.
CREATE INDEX catalog_ended ON catalog (project_id, updated_at, session_id) WHERE stage = 'ended';
