-- compatible from 1

-- What the dashboard counts, of hours (`hours` 1) and days (24) that are over; `at`: hours since the epoch. Whatever
-- changes in them takes the row away, and the hour is counted again.
CREATE TABLE tallies (
    project_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    hours INTEGER NOT NULL,
    sandbox BOOLEAN NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (project_id, at, hours, sandbox)
);

-- The lock is shared by those who change; who counts has it alone, so that nothing uncommitted is left out for good.
CREATE FUNCTION untally(project TEXT, began BIGINT) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    midnight BIGINT := began / 86400000 * 24;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('tallies/' || project || '/' || midnight, 0));
    DELETE FROM tallies WHERE project_id = project AND at = began / 3600000 AND hours = 1;
    DELETE FROM tallies WHERE project_id = project AND at = midnight AND hours = 24;
END $$;
CREATE FUNCTION catalog_untally() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM untally(OLD.project_id, OLD.started_at);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND OLD.started_at <> NEW.started_at THEN
        PERFORM untally(NEW.project_id, NEW.started_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER catalog_untally AFTER INSERT OR UPDATE OR DELETE ON catalog
FOR EACH ROW EXECUTE FUNCTION catalog_untally();
CREATE FUNCTION handoff_facts_untally() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM untally(OLD.project_id, OLD.requested_at);
    ELSE
        PERFORM untally(NEW.project_id, NEW.requested_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER handoff_facts_untally AFTER INSERT OR UPDATE OR DELETE ON handoff_facts
FOR EACH ROW EXECUTE FUNCTION handoff_facts_untally();
