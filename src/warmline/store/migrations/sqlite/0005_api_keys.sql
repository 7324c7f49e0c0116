-- compatible from 1

-- Who may call the REST APIs. `id` is the SHA-256 of the key; `project_id` '': every project.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
