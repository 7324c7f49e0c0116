-- compatible from 1

-- Who answers, while that is a live agent whose name is known.
ALTER TABLE catalog ADD COLUMN agent_name TEXT NOT NULL DEFAULT '';

-- Those that have ended are found without a look at those that have not.
CREATE INDEX catalog_ended ON catalog (project_id, updated_at, session_id) WHERE stage = 'ended';

-- Texts get their days newest first, so that soon most searches are quicker with them.
ALTER TABLE spoken_undated ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
UPDATE spoken_undated SET updated_at = catalog.updated_at FROM catalog
WHERE catalog.session_id = spoken_undated.session_id;
CREATE INDEX spoken_undated_newest ON spoken_undated (updated_at);
