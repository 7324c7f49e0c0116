-- compatible from 1

-- Several sessions of one customer can be in the same conversation, each with one handoff.
DROP INDEX handoff_links_remote;
CREATE UNIQUE INDEX handoff_links_remote ON handoff_links (connection_id, remote_id, session_id) WHERE remote_id <> '';
