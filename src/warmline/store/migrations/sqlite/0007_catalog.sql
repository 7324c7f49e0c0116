-- compatible from 1

-- What lists of conversations show. Follows the logs; may be made anew from them.
CREATE TABLE catalog (
    session_id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    environment TEXT NOT NULL,
    stage TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    waiting_since INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    end_reason TEXT NOT NULL,
    messages INTEGER NOT NULL,
    last_author TEXT NOT NULL,
    last_message_id TEXT NOT NULL,
    last_text TEXT NOT NULL,
    handoff TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    sequence INTEGER NOT NULL
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
    requested_at INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    outcome_reason TEXT NOT NULL
);
CREATE INDEX handoff_facts_session ON handoff_facts (session_id);
CREATE INDEX handoff_facts_project ON handoff_facts (project_id, requested_at);
CREATE INDEX handoff_facts_running ON handoff_facts (connection_id) WHERE outcome = '';

CREATE TABLE spoken (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (session_id, message_id)
);
CREATE VIRTUAL TABLE spoken_words USING fts5 (
    text, content = 'spoken', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER spoken_new AFTER INSERT ON spoken BEGIN
    INSERT INTO spoken_words (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER spoken_gone AFTER DELETE ON spoken BEGIN
    INSERT INTO spoken_words (spoken_words, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TRIGGER spoken_changed AFTER UPDATE ON spoken BEGIN
    INSERT INTO spoken_words (spoken_words, rowid, text) VALUES ('delete', old.id, old.text);
    INSERT INTO spoken_words (rowid, text) VALUES (new.id, new.text);
END;
