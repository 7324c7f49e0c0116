-- compatible from 1

-- In which environment a handoff was: those of the sandbox are left out of the numbers.
ALTER TABLE handoff_facts ADD COLUMN environment TEXT NOT NULL DEFAULT 'live';
UPDATE handoff_facts SET environment = 'sandbox'
WHERE session_id IN (SELECT session_id FROM catalog WHERE environment = 'sandbox');
