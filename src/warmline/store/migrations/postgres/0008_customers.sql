-- compatible from 1

-- What a project remembers of a customer beyond one session; `memory` is a JSON object.
CREATE TABLE customer_memory (
    project_id TEXT NOT NULL,
    customer TEXT NOT NULL,
    memory BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (customer, project_id)
);
