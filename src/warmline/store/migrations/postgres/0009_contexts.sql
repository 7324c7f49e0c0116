-- compatible from 1

-- What the customer's page vouched for in a session; `context` is a flat JSON object.
CREATE TABLE session_contexts (
    session_id TEXT PRIMARY KEY,
    context TEXT NOT NULL
);
