"""What shows in the database of an installation, whether or not a server runs on it."""

from collections.abc import Mapping
from dataclasses import replace

from warmline.delivery.health import DestinationState
from warmline.delivery.report import reports
from warmline.domain.errors import WarmlineError
from warmline.handoff.contract import InspectsConnections
from warmline.handoff.registry import Registry
from warmline.handoff.verdicts import Verdict
from warmline.ports import Connection, Finding, Level, SealedBy, Store, Unfinished

_OLD_S = 120
"""What waits longer than this in the outbox or the inbox is told."""


def finding(verdict: Verdict, subject: str = "") -> Finding:
    """A provider's verdict; one that is fine and has a remedy is a warning."""
    level = Level.FAIL if not verdict.ok else Level.WARN if verdict.remedy else Level.OK
    text = f"{verdict.field}: {verdict.text}" if verdict.field and level is Level.FAIL else verdict.text
    return Finding(level, f"{subject} {verdict.step}".strip(), text, verdict.remedy)


async def backlog(store: Store, now: int) -> list[Finding]:
    """What waits, and what was given up."""
    found = await store.not_done()
    return [
        _waiting("outbox", found.outbox, now),
        _waiting("inbox", found.inbox, now),
        Finding(
            Level.WARN if found.dead_effects else Level.OK,
            "dead letters",
            f"{found.dead_effects}, the last: {found.last_error}" if found.dead_effects else "none",
            "These effects were given up. /studio/deliveries lists them and says what can be done about each.",
        ),
        Finding(
            Level.WARN if found.dead_webhooks else Level.OK,
            "dead webhooks",
            f"{found.dead_webhooks} in the last days" if found.dead_webhooks else "none",
            "They were of no conversation that is known here, or could not be processed: see the server's log.",
        ),
    ]


async def sealed(store: Store) -> Finding:
    """Whether the configured keys open every secret, and the first of them sealed it."""
    found = await store.sealed_secrets()
    unopened = sum(not secret.by.opens for secret in found)
    former = sum(secret.by is SealedBy.PREVIOUS for secret in found)
    if unopened:
        text = f"{unopened} of {len(found)} cannot be opened with WARMLINE_SECRET_KEY."
        remedy = "Add the key that sealed them as a further one. `warmline secrets list` names them."
        return Finding(Level.FAIL, "secrets", text, remedy)
    if former:
        text = f"{former} of {len(found)} are sealed with a previous key."
        return Finding(Level.WARN, "secrets", text, "Seal them with the current one: warmline secrets rotate")
    text = f"{len(found)} sealed with the current key." if found else "none are stored."
    return Finding(Level.OK, "secrets", text)


def _waiting(subject: str, waiting: Unfinished, now: int) -> Finding:
    age_s = (now - waiting.since) // 1000 if waiting.count else 0
    text = f"{waiting.count} waiting" + (f", the oldest for {age_s} s." if waiting.count else ".")
    remedy = "Is the server running, and are its destinations up? See the connections below."
    return Finding(Level.WARN if age_s > _OLD_S else Level.OK, subject, text, remedy)


async def connection_findings(
    store: Store,
    registry: Registry,
    *,
    inspect: bool,
    destinations: Mapping[str, tuple[DestinationState, str]] | None = None,
) -> list[Finding]:
    """State of every connection; with `inspect`, also what its provider finds, which asks the contact centre.

    `destinations` are the states of connections that were spoken to, and why the last call failed, by id.
    """
    found: list[Finding] = []
    known = await store.connections()
    heard = await store.last_webhooks()
    for connection in known:
        own: list[Finding] = []
        subject = f"{connection.provider} {connection.name}"
        own.append(_state(subject, connection, *(destinations or {}).get(connection.id, (DestinationState.UP, ""))))
        if inspect:
            own += await _inspected(registry, subject, connection, heard)
        own += await _last_report(store, subject, connection)
        found += [replace(item, project_id=connection.project_id, connection_id=connection.id) for item in own]
    if not known:
        remedy = "Make one with `warmline connect add webex`."
        found.append(Finding(Level.WARN, "connections", "There is none: handoffs will fail.", remedy))
    if not await store.connectors():
        remedy = "Make one with `warmline connector add --host www.example.com`."
        found.append(Finding(Level.WARN, "connectors", "There is none: no widget can reach a project.", remedy))
    return found


async def _inspected(
    registry: Registry, subject: str, connection: Connection, heard: Mapping[tuple[str, str], int]
) -> list[Finding]:
    try:
        module = registry.module(connection.provider)
    except WarmlineError as error:
        return [Finding(Level.FAIL, subject, str(error))]
    if not isinstance(module, InspectsConnections):
        return []
    paths = {endpoint: at for (owner, endpoint), at in heard.items() if owner == connection.id}
    return [finding(v, subject) for v in await module.inspect(connection, registry.environment(connection.id), paths)]


async def _last_report(store: Store, subject: str, connection: Connection) -> list[Finding]:
    """What the comparison of the last day with the contact centre's record came to."""
    made = await reports(store, connection.id)
    if not made:
        return []
    last = made[0]
    text = f"{last.day}: {last.conversations} conversations, "
    if last.clean:
        return [Finding(Level.OK, f"{subject} day", f"{text}both sides agree.")]
    text += (
        f"{last.unknown} unknown here, {last.open_there} open there and over here, {last.open_here} the other way "
        f"round, {last.ended_apart} ended more than 5 minutes apart."
    )
    remedy = "News were lost, or two installations share the business address; see report.made in the server's log."
    return [Finding(Level.WARN, f"{subject} day", text, remedy)]


def _state(subject: str, connection: Connection, state: DestinationState, reason: str) -> Finding:
    if connection.state == "connected" and not reason:
        return Finding(Level.OK, f"{subject} state", f"Connected, for project {connection.project_id}.")
    if connection.state == "connected" and state is DestinationState.UP:
        remedy = "It is tried again by itself; what waits goes out in order."
        return Finding(Level.WARN, f"{subject} state", f"The last call failed: {_sentence(reason)}", remedy)
    if connection.state == "connected":
        remedy = "It is tried every 20 seconds; what waits goes out in order when it answers. See its own status page."
        return Finding(Level.FAIL, f"{subject} state", f"It cannot be reached: {_sentence(reason)}", remedy)
    text = f"{connection.state}: {connection.state_reason}"
    remedies = {
        "auth_failed": f"Get new credentials, then: warmline connect rotate {connection.id} client",
        "misconfigured": f"Mend what is named, then: warmline connect test {connection.id}",
    }
    return Finding(Level.FAIL, f"{subject} state", text, remedies.get(connection.state, ""))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."
