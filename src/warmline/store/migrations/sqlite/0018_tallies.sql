-- compatible from 1

-- What the dashboard counts, of hours (`hours` 1) and days (24) that are over; `at`: hours since the epoch. Whatever
-- changes in them takes the row away, and the hour is counted again.
CREATE TABLE tallies (
    project_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    hours INTEGER NOT NULL,
    sandbox INTEGER NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (project_id, at, hours, sandbox)
) WITHOUT ROWID;

CREATE TRIGGER catalog_untally_new AFTER INSERT ON catalog BEGIN
    DELETE FROM tallies WHERE project_id = new.project_id AND at = new.started_at / 3600000 AND hours = 1;
    DELETE FROM tallies WHERE project_id = new.project_id AND at = new.started_at / 86400000 * 24 AND hours = 24;
END;
CREATE TRIGGER catalog_untally_changed AFTER UPDATE ON catalog BEGIN
    DELETE FROM tallies WHERE project_id = old.project_id AND at = old.started_at / 3600000 AND hours = 1;
    DELETE FROM tallies WHERE project_id = old.project_id AND at = old.started_at / 86400000 * 24 AND hours = 24;
    DELETE FROM tallies WHERE project_id = new.project_id AND at = new.started_at / 3600000 AND hours = 1;
    DELETE FROM tallies WHERE project_id = new.project_id AND at = new.started_at / 86400000 * 24 AND hours = 24;
END;
CREATE TRIGGER catalog_untally_gone AFTER DELETE ON catalog BEGIN
    DELETE FROM tallies WHERE project_id = old.project_id AND at = old.started_at / 3600000 AND hours = 1;
    DELETE FROM tallies WHERE project_id = old.project_id AND at = old.started_at / 86400000 * 24 AND hours = 24;
END;
CREATE TRIGGER handoff_facts_untally_new AFTER INSERT ON handoff_facts BEGIN
    DELETE FROM tallies WHERE project_id = new.project_id AND at = new.requested_at / 3600000 AND hours = 1;
    DELETE FROM tallies WHERE project_id = new.project_id AND at = new.requested_at / 86400000 * 24 AND hours = 24;
END;
CREATE TRIGGER handoff_facts_untally_changed AFTER UPDATE ON handoff_facts BEGIN
    DELETE FROM tallies WHERE project_id = old.project_id AND at = old.requested_at / 3600000 AND hours = 1;
    DELETE FROM tallies WHERE project_id = old.project_id AND at = old.requested_at / 86400000 * 24 AND hours = 24;
    DELETE FROM tallies WHERE project_id = new.project_id AND at = new.requested_at / 3600000 AND hours = 1;
    DELETE FROM tallies WHERE project_id = new.project_id AND at = new.requested_at / 86400000 * 24 AND hours = 24;
END;
CREATE TRIGGER handoff_facts_untally_gone AFTER DELETE ON handoff_facts BEGIN
    DELETE FROM tallies WHERE project_id = old.project_id AND at = old.requested_at / 3600000 AND hours = 1;
    DELETE FROM tallies WHERE project_id = old.project_id AND at = old.requested_at / 86400000 * 24 AND hours = 24;
END;
