-- compatible from 1

-- What a project remembers of a customer beyond one session; `memory` is a JSON object.
CREATE TABLE customer_memory (
    project_id TEXT NOT NULL,
    customer TEXT NOT NULL,
    memory BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (customer, project_id)
);
