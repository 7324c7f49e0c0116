-- compatible from 1

-- The customers' numbers by ours: the session that a text belongs to, and who wants none. opted_out_at 0: wants them.
CREATE TABLE sms_lines (
    connection_id TEXT NOT NULL,
    number TEXT NOT NULL,
    customer TEXT NOT NULL,
    session_id TEXT NOT NULL,
    opted_out_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (connection_id, number, customer)
);
CREATE INDEX sms_lines_customer ON sms_lines (customer);

-- What became of each text that went out; the id is that of its row in the outbox.
CREATE TABLE sms_texts (
    id TEXT PRIMARY KEY,
    connection_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    sid TEXT NOT NULL,
    status TEXT NOT NULL,
    rank BIGINT NOT NULL,
    error TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX sms_texts_sid ON sms_texts (sid);
CREATE INDEX sms_texts_session ON sms_texts (session_id);
