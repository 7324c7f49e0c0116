-- compatible from 1

-- What lists of conversations show. Follows the logs; may be made anew from them.
CREATE TABLE catalog (
    session_id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    environment TEXT NOT NULL,
    stage TEXT NOT NULL,
    started_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    waiting_since bigint NOT NULL,
    ended_at bigint NOT NULL,
    end_reason TEXT NOT NULL,
    messages bigint NOT NULL,
    last_author TEXT NOT NULL,
    last_message_id TEXT NOT NULL,
    last_text TEXT NOT NULL,
    handoff TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    sequence bigint NOT NULL
);
CREATE INDEX catalog_newest ON catalog (project_id, updated_at, session_id);
CREATE INDEX catalog_began ON catalog (project_id, started_at);
CREATE INDEX catalog_running ON catalog (project_id, stage, updated_at, session_id) WHERE stage <> 'ended';

CREATE TABLE handoff_facts (
    id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    destination TEXT NOT NULL,
    reason TEXT NOT NULL,
    requested_at bigint NOT NULL,
    accepted_at bigint NOT NULL,
    joined_at bigint NOT NULL,
    ended_at bigint NOT NULL,
    outcome TEXT NOT NULL,
    outcome_reason TEXT NOT NULL
);
CREATE INDEX handoff_facts_session ON handoff_facts (session_id);
CREATE INDEX handoff_facts_project ON handoff_facts (project_id, requested_at);
CREATE INDEX handoff_facts_running ON handoff_facts (connection_id) WHERE outcome = '';

CREATE TABLE spoken (
    session_id text NOT NULL,
    message_id text NOT NULL,
    words tsvector NOT NULL,
    PRIMARY KEY (session_id, message_id)
);
CREATE INDEX spoken_words ON spoken USING gin (words);
