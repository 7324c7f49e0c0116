-- compatible from 1

-- What the dashboard counts is read from these alone.
CREATE INDEX catalog_started ON catalog (project_id, started_at) INCLUDE (environment, stage, messages);
CREATE INDEX catalog_handed_over ON catalog (project_id, started_at) INCLUDE (environment, stage) WHERE handoff <> '';
CREATE INDEX handoff_facts_requested ON handoff_facts (project_id, requested_at)
INCLUDE (environment, connection_id, outcome, reason, accepted_at, joined_at);
DROP INDEX catalog_began;
DROP INDEX handoff_facts_project;

-- Lists that are narrowed twice.
CREATE INDEX catalog_channel_connection ON catalog (project_id, channel, connection_id, updated_at, session_id)
WHERE connection_id <> '';

-- Beside its words, a text has the day of its conversation's last change (days since the epoch, with a "#", which no
-- word has): the index then finds the newest texts with a word without a look at all the older ones.
CREATE FUNCTION spoken_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := NEW.words || array_to_tsvector(ARRAY(
        SELECT '#' || updated_at / 86400000 FROM catalog WHERE session_id = NEW.session_id));
    RETURN NEW;
END $$;
CREATE TRIGGER spoken_day BEFORE INSERT OR UPDATE ON spoken FOR EACH ROW EXECUTE FUNCTION spoken_day();
CREATE FUNCTION catalog_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE spoken SET words = words WHERE session_id = NEW.session_id;
    RETURN NULL;
END $$;
CREATE TRIGGER catalog_day AFTER UPDATE ON catalog FOR EACH ROW
WHEN (OLD.updated_at / 86400000 <> NEW.updated_at / 86400000) EXECUTE FUNCTION catalog_day();

-- The conversations whose texts have no day yet. They get it while the server runs.
CREATE TABLE spoken_undated (session_id TEXT PRIMARY KEY);
INSERT INTO spoken_undated SELECT session_id FROM catalog;
