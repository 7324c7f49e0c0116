"""All statements, written once in the common subset of PostgreSQL and SQLite.

Queries use `$1`, `= ANY($1)` and `FOR UPDATE`; `for_sqlite` turns them into SQLite's form. A `Write` changes many
rows of one table at once and knows how either database does that best.
"""

import re
from dataclasses import dataclass
from functools import cache

# --- queries ---------------------------------------------------------------------------------------------------

SESSION = "SELECT snapshot, info, created_at, updated_at FROM sessions WHERE id = $1"
EVENTS = """
    SELECT sequence, id, at, type, body FROM session_events
    WHERE session_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3"""

TURN = """
    SELECT (SELECT memory FROM memory WHERE session_id = $1),
           (SELECT count(*) FROM turns WHERE session_id = $1 AND turn_id = $2)"""
TURN_RECORDS = "SELECT turn_id, record FROM turns WHERE session_id = $1 AND record IS NOT NULL ORDER BY id"

OUTBOX_COLUMNS = "id, partition, stream_key, session_id, kind, body, created_at, attempts, next_at, last_error"
PENDING = f"SELECT {OUTBOX_COLUMNS} FROM outbox WHERE state = 'pending' AND partition = ANY($1) ORDER BY id"
DELIVERIES = f"""
    SELECT {OUTBOX_COLUMNS}, CASE WHEN state = 'dead' THEN 1 ELSE 0 END FROM outbox WHERE session_id = $1 ORDER BY id"""
LATE_DELIVERIES = """
    SELECT row_id, kind, message_id, attempts, error, created_at, delivered_at FROM late_deliveries
    WHERE session_id = $1 ORDER BY row_id"""

LEASES = "SELECT partition, node, incarnation, expires, epoch FROM leases ORDER BY partition FOR UPDATE"
RENEW_LEASES = "UPDATE leases SET expires = $1 WHERE partition = ANY($2)"
TAKE_LEASES = """
    UPDATE leases SET node = $1, incarnation = $2, expires = $3, epoch = epoch + 1 WHERE partition = ANY($4)"""
GIVE_BACK_LEASES = "UPDATE leases SET node = '', incarnation = '', expires = 0 WHERE partition = ANY($1)"
FREE_LEASES = """
    UPDATE leases SET node = '', incarnation = '', expires = 0
    WHERE node = $1 AND incarnation = $2 AND NOT (partition = ANY($3))"""
KEEP_LEASES = "UPDATE leases SET expires = $3 WHERE node = $1 AND incarnation = $2 AND partition = ANY($4)"
SAW_NODE = """
    INSERT INTO nodes (name, expires) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET expires = excluded.expires"""
FORGET_DEAD_NODES = "DELETE FROM nodes WHERE expires <= $1"
LIVE_NODES = "SELECT count(*) FROM nodes"
FREE_ALL_LEASES = "UPDATE leases SET node = '', incarnation = '', expires = 0"
FORGET_ALL_NODES = "DELETE FROM nodes"
FORGET_NODE = "DELETE FROM nodes WHERE name = $1"
NODES = "SELECT name FROM nodes WHERE expires > $1 ORDER BY name"

_INBOX = """
    SELECT id, connection_id, endpoint, key, remote_id, received_at, event_at, body, attempts, state,
        rank, hold, terminal
    FROM inbox WHERE state IN ('new', 'parked')"""
INBOX_PENDING = f"{_INBOX} ORDER BY id"
INBOX_OF = f"{_INBOX} AND (partition = ANY($1) OR partition < 0) ORDER BY id"
"""Nodes of an older version put -1: nobody but the reader reckons the partition of these rows."""
INBOX_UNKNOWN = f"""{_INBOX} AND connection_id || '' = $1 AND remote_id <> '' AND NOT (id = ANY($2))
    AND NOT EXISTS (
        SELECT 1 FROM handoff_links l
        WHERE l.connection_id = inbox.connection_id AND l.remote_id = inbox.remote_id AND l.remote_id <> '')
    ORDER BY id"""
"""Without `|| ''` the databases may read all that a connection's indexes remember, to find what waits."""
NEXT_HEARD = """
    SELECT connection_id, endpoint, received_at FROM inbox WHERE (connection_id, endpoint) > ($1, $2)
    ORDER BY connection_id, endpoint, received_at DESC LIMIT 1
"""
"""The path behind this one in the index, and when it was last heard of."""
PRUNE_INBOX = "DELETE FROM inbox WHERE state IN ('done', 'dead') AND received_at < $1 RETURNING id"

TIMERS = "SELECT key, session_id, kind, due, handoff_id FROM timers ORDER BY due, key"
TIMERS_BEFORE = "SELECT key, session_id, kind, due, handoff_id FROM timers WHERE due < $1 ORDER BY due, key"

_LINK = "handoff_id, session_id, connection_id, remote_id, data"
LINK = f"SELECT {_LINK} FROM handoff_links WHERE handoff_id = $1"
LINKS_BY_REMOTE = f"""
    SELECT {_LINK} FROM handoff_links WHERE connection_id = $1 AND remote_id = $2 AND remote_id <> ''
    ORDER BY handoff_id"""
OPEN_LINKS = """
    SELECT l.handoff_id, l.session_id, l.connection_id, l.remote_id, l.data
    FROM handoff_links l JOIN timers t ON t.session_id = l.session_id WHERE t.kind = 'idle'"""

RECENT_LINKS = """
    SELECT l.handoff_id, l.session_id, l.connection_id, l.remote_id, l.data
    FROM handoff_links l JOIN sessions s ON s.id = l.session_id WHERE s.updated_at >= $1 AND l.remote_id <> ''"""

CONNECTION_STATE = "UPDATE connections SET state = $2, state_reason = $3 WHERE id = $1"
CONNECTIONS = """
    SELECT id, provider, name, project_id, "values", state, state_reason, created_at
    FROM connections WHERE (provider LIKE 'sms_%') = $1 ORDER BY created_at, id"""
SEALED = "SELECT connection_id, name, sealed FROM connection_secrets"
SAVE_CONNECTION = """
    INSERT INTO connections (id, provider, name, project_id, "values", state, state_reason, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (id) DO UPDATE SET provider = excluded.provider, name = excluded.name,
        project_id = excluded.project_id, "values" = excluded."values", state = excluded.state,
        state_reason = excluded.state_reason"""
SEAL = """
    INSERT INTO connection_secrets (connection_id, name, sealed) VALUES ($1, $2, $3)
    ON CONFLICT (connection_id, name) DO UPDATE SET sealed = excluded.sealed"""
FORGET_SECRETS = "DELETE FROM connection_secrets WHERE connection_id = $1"
DELETE_CONNECTION = "DELETE FROM connections WHERE id = $1"

CONNECTORS = """
    SELECT id, token, project_id, host, variant, environment, agent_name, agent_avatar_url, settings
    FROM connectors ORDER BY id"""
SAVE_CONNECTOR = """
    INSERT INTO connectors
        (id, token, project_id, host, variant, environment, agent_name, agent_avatar_url, settings)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (id) DO UPDATE SET token = excluded.token, project_id = excluded.project_id,
        host = excluded.host, variant = excluded.variant, environment = excluded.environment,
        agent_name = excluded.agent_name, agent_avatar_url = excluded.agent_avatar_url,
        settings = excluded.settings"""
DELETE_CONNECTOR = "DELETE FROM connectors WHERE id = $1"

FILE = "SELECT id, session_id, name, mime_type, content, created_at, expires_at FROM files WHERE id = $1"
SAVE_FILE = """
    INSERT INTO files (id, session_id, name, mime_type, content, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)"""
_TRANSCRIPT = "handoff_id, session_id, connection_id, remote_id, ended_at, tries, next_at, content"
SAVE_TRANSCRIPT = f"""
    INSERT INTO transcripts ({_TRANSCRIPT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (handoff_id) DO UPDATE
    SET tries = excluded.tries, next_at = excluded.next_at, content = excluded.content RETURNING handoff_id"""
TRANSCRIPTS_DUE = f"SELECT {_TRANSCRIPT} FROM transcripts WHERE next_at > 0 AND next_at <= $1 ORDER BY next_at LIMIT $2"
TRANSCRIPTS = f"SELECT {_TRANSCRIPT} FROM transcripts WHERE session_id = $1 ORDER BY ended_at, handoff_id"
FORGET_FILES = "DELETE FROM files WHERE expires_at <= $1 RETURNING id"

SETTING = "SELECT value FROM settings WHERE key = $1"
SETTINGS = "SELECT key, value FROM settings WHERE substr(key, 1, length($1)) = $1"
MAKE_SETTING = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING"

PING = "SELECT count(*) FROM schema_version"

# --- reads of a batch that the two say differently ---------------------------------------------------------------

SNAPSHOTS_SQLITE = "SELECT id, snapshot FROM sessions WHERE id = ANY($1)"
SNAPSHOTS_POSTGRES = """
    SELECT s.id, CASE WHEN s.last_sequence = known.sequence THEN NULL ELSE s.snapshot END
    FROM unnest($1::text[], $2::bigint[]) AS known (id, sequence) JOIN sessions AS s ON s.id = known.id
    ORDER BY s.id FOR UPDATE OF s"""
"""Locks the sessions, always in the same order. $2: the sequences whose snapshots the caller knows already."""

_SEEN = """
    SELECT c.session_id, c.dedup_key, e.sequence, e.id, e.at, e.type, e.body
    FROM {asked} JOIN session_changes AS c ON c.session_id = {session} AND c.dedup_key = {key}
    LEFT JOIN session_events AS e ON e.session_id = c.session_id AND e.sequence BETWEEN c.first AND c.last
    ORDER BY e.sequence"""
SEEN_SQLITE = _SEEN.format(
    asked="json_each($1) AS asked", session="json_extract(asked.value, '$[0]')", key="json_extract(asked.value, '$[1]')"
)
SEEN_POSTGRES = _SEEN.format(
    asked="unnest($1::text[], $2::text[]) AS asked (session_id, key)", session="asked.session_id", key="asked.key"
)


FENCE_SQLITE = """
    SELECT (SELECT json_group_array(json_array(partition, epoch)) FROM leases WHERE partition = ANY($1) AND node <> ''),
           (SELECT json_group_array(id) FROM outbox WHERE id = ANY($2) AND state <> 'dead')"""
FENCE_POSTGRES = """
    WITH held AS (
        SELECT partition, epoch FROM leases WHERE partition = ANY($1) AND node <> '' ORDER BY partition FOR SHARE)
    SELECT partition, epoch, NULL AS row_id FROM held
    UNION ALL SELECT NULL, NULL, id FROM outbox WHERE id = ANY($2) AND state <> 'dead'"""
"""Epochs of held partitions, and rows not settled. The leases stay where they are until the batch is committed.

Look-ups by id say `state <> 'dead'` and not `= 'pending'`, which would lure PostgreSQL into the index of all that is
pending.
"""

KNOWN_WEBHOOKS_SQLITE = """
    SELECT inbox.connection_id, inbox.key FROM json_each($1) AS asked JOIN inbox
    ON inbox.connection_id = json_extract(asked.value, '$[0]') AND inbox.key = json_extract(asked.value, '$[1]')"""


@cache
def for_sqlite(query: str) -> str:
    """The same query for SQLite, which has one writer and so no row locks; `= ANY` then takes a JSON array."""
    query = re.sub(r" FOR (UPDATE|SHARE)\b", "", query)
    query = re.sub(r"= ANY\(\$(\d+)\)", r"IN (SELECT value FROM json_each(?\1))", query)
    return re.sub(r"\$(\d+)", r"?\1", query)


# --- writes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Write:
    """One statement for many rows of `table`; a row is a tuple of `types`, its first `keys` values are its key.

    `text` has `{rows}` where a query gives the rows. A `weak` write of a row yields to any other that the same
    batch has for this row.
    """

    table: str
    types: tuple[str, ...]
    text: str
    keys: int = 1
    weak: bool = False


def values(write: Write, count: int) -> str:
    """The statement for `count` rows, each value a `?`."""
    row = f"({', '.join('?' * len(write.types))})"
    return write.text.format(rows=f"VALUES {', '.join([row] * count)}")


def arrays(write: Write, before: int = 0) -> str:
    """The statement for any number of rows, an array per column, numbered from `before` + 1."""
    columns = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(write.types, before + 1))
    return write.text.format(rows=f"SELECT * FROM unnest({columns})")


def _insert(table: str, columns: dict[str, str], then: str = "", *, keys: int = 1, weak: bool = False) -> Write:
    names = ", ".join(columns)
    text = f"WITH v ({names}) AS ({{rows}}) INSERT INTO {table} ({names}) SELECT {names} FROM v WHERE true {then}"
    return Write(table, tuple(columns.values()), text, keys, weak)


def _upsert(table: str, columns: dict[str, str], *, keys: int = 1) -> Write:
    names = list(columns)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[keys:])
    return _insert(table, columns, f"ON CONFLICT ({', '.join(names[:keys])}) DO UPDATE SET {changes}", keys=keys)


def _update(table: str, columns: dict[str, str], where: str = "", *, keys: int = 1, weak: bool = False) -> Write:
    names = list(columns)
    changes = ", ".join(f"{name} = v.{name}" for name in names[keys:])
    same = " AND ".join(f"{table}.{name} = v.{name}" for name in names[:keys])
    text = f"WITH v ({', '.join(columns)}) AS ({{rows}}) UPDATE {table} SET {changes} FROM v WHERE {same} {where}"
    return Write(table, tuple(columns.values()), text, keys, weak)


def _delete(table: str, key: str, kind: str) -> Write:
    text = f"WITH v ({key}) AS ({{rows}}) DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM v)"
    return Write(table, (kind,), text)


NEW_SESSION = _insert(
    "sessions",
    {
        "id": "text",
        "info": "text",
        "snapshot": "text",
        "last_sequence": "bigint",
        "created_at": "bigint",
        "updated_at": "bigint",
    },
)
SNAPSHOT = _update("sessions", {"id": "text", "snapshot": "text", "last_sequence": "bigint", "updated_at": "bigint"})
EVENT = _insert(
    "session_events",
    {"session_id": "text", "sequence": "bigint", "id": "text", "at": "bigint", "type": "text", "body": "text"},
    keys=2,
)
MASKED_EVENT = _update("session_events", {"session_id": "text", "sequence": "bigint", "body": "text"}, keys=2)
SEEN_CHANGE = _insert(
    "session_changes", {"session_id": "text", "dedup_key": "text", "first": "bigint", "last": "bigint"}, keys=2
)
NEW_EFFECT = _insert(
    "outbox",
    {
        "partition": "integer",
        "stream_key": "text",
        "session_id": "text",
        "kind": "text",
        "body": "text",
        "created_at": "bigint",
    },
)
DELIVERED = _delete("outbox", "id", "bigint")
LATE = _insert(
    "late_deliveries",
    {
        "row_id": "bigint",
        "session_id": "text",
        "kind": "text",
        "message_id": "text",
        "attempts": "integer",
        "error": "text",
        "created_at": "bigint",
        "delivered_at": "bigint",
    },
)
DEAD_LETTER = _update("outbox", {"id": "bigint", "state": "text", "last_error": "text"})
RESCHEDULE = _update(
    "outbox",
    {"id": "bigint", "attempts": "integer", "next_at": "bigint", "last_error": "text"},
    "AND state <> 'dead'",
    weak=True,
)
NEW_WEBHOOK = _insert(
    "inbox",
    {
        "connection_id": "text",
        "endpoint": "text",
        "key": "text",
        "remote_id": "text",
        "received_at": "bigint",
        "event_at": "bigint",
        "body": "bytea",
        "partition": "integer",
        "rank": "integer",
        "hold": "boolean",
        "terminal": "boolean",
    },
    "ON CONFLICT (connection_id, key) DO NOTHING",
)
SETTLED_WEBHOOK = _insert(
    "inbox",
    {
        "connection_id": "text",
        "key": "text",
        "endpoint": "text",
        "remote_id": "text",
        "received_at": "bigint",
        "event_at": "bigint",
        "body": "bytea",
        "partition": "integer",
        "state": "text",
    },
    "ON CONFLICT (connection_id, key) DO NOTHING",
    keys=2,
)
"""A webhook that was processed before it was stored."""
WEBHOOK_DONE = _update("inbox", {"id": "bigint", "state": "text", "body": "bytea"})
WEBHOOK_STATE = _update("inbox", {"id": "bigint", "state": "text", "attempts": "integer"}, weak=True)
ARM = _upsert("timers", {"key": "text", "session_id": "text", "kind": "text", "due": "bigint", "handoff_id": "text"})
PUT_OFF = _update("timers", {"key": "text", "due": "bigint"}, "AND v.due > timers.due", weak=True)
DISARM = _delete("timers", "key", "text")
SAVE_LINK = _upsert(
    "handoff_links",
    {"handoff_id": "text", "session_id": "text", "connection_id": "text", "remote_id": "text", "data": "text"},
)
TURN_BEGUN = _insert(
    "turns",
    {"session_id": "text", "turn_id": "text"},
    "ON CONFLICT (session_id, turn_id) DO NOTHING",
    keys=2,
    weak=True,
)
TURN_DONE = _upsert("turns", {"session_id": "text", "turn_id": "text", "record": "bytea"}, keys=2)
TOPIC_USED = Write(
    "topic_uses",
    ("text", "integer", "text", "integer", "bigint", "text", "text"),
    """
    WITH v (project_id, day, topic, partition, at, session_id, turn_id) AS ({rows})
    INSERT INTO topic_uses (project_id, day, topic, partition, uses, last_at)
    SELECT project_id, day, topic, partition, count(*), max(at) FROM v WHERE true
    GROUP BY project_id, day, topic, partition ORDER BY project_id, day, topic, partition
    ON CONFLICT (project_id, day, topic, partition) DO UPDATE SET uses = topic_uses.uses + excluded.uses,
        last_at = CASE WHEN excluded.last_at > topic_uses.last_at THEN excluded.last_at ELSE topic_uses.last_at END""",
    keys=7,
)
"""Counts; a row of it is one turn that matched a topic."""
MEMORY = _upsert("memory", {"session_id": "text", "memory": "bytea"})
