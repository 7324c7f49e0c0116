"""`warmline doctor`: looks at everything an installation needs, changes nothing, and names causes."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Annotated

import aiohttp
import typer

from warmline.agent.brains.topics.abilities import needs_model
from warmline.agent.project.checker import check_project
from warmline.agent.project.loader import load_project
from warmline.agent.project.model import Severity
from warmline.cli.installation import DemoOption, Installation, chosen_settings, opened
from warmline.cli.logs import quiet_logging
from warmline.cli.public_address import public_address
from warmline.cli.report import Finding, Level, finding, print_findings
from warmline.config import Settings
from warmline.delivery.report import reports
from warmline.domain.errors import ConfigError, WarmlineError
from warmline.handoff.contract import InspectsConnections
from warmline.ports import PARTITIONS, Connection

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
_OLD_S = 120
"""What waits longer than this in the outbox or the inbox is told."""

UrlOption = Annotated[
    str, typer.Option("--url", help="Where the server answers on this machine; default: from the settings.")
]


def doctor(url: UrlOption = "", demo: DemoOption = None) -> None:
    """Check settings, projects, database, addresses, clock, connections and webhooks; exit 1 when something fails."""
    quiet_logging()

    async def run() -> bool:
        failed = False
        settings = chosen_settings(demo)
        if demo is not None and url:
            settings = replace(settings, public_url=url.rstrip("/"))
        async for item in examine(settings, url.rstrip("/") or _local(settings)):
            print_findings([item])
            failed |= item.level is Level.FAIL
        return failed

    if asyncio.run(run()):
        raise typer.Exit(1)


def _local(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://{host}:{settings.port}"


async def examine(settings: Settings, local_url: str) -> AsyncIterator[Finding]:
    """Everything that is found, in order; `local_url` is where the server answers on this machine."""
    for item in projects(settings):
        yield item
    async with aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield await server(http, local_url)
        for item in await public_address(http, settings):
            yield item
    try:
        async with opened(settings, reading=True) as installation:
            yield Finding(Level.OK, "database", "Can be read; its schema is the one this program needs.")
            for item in await backlog(installation):
                yield item
            for item in await connections(installation):
                yield item
    except WarmlineError as error:
        yield Finding(Level.FAIL, "database", str(error), "Everything that lies in the database could not be checked.")


def projects(settings: Settings) -> Iterable[Finding]:
    """What `warmline check` finds in the projects, counted."""
    from warmline.app import find_projects

    try:
        folders = find_projects(settings.projects)
    except ConfigError as error:
        return [Finding(Level.FAIL, "projects", str(error))]
    findings = []
    for project_id, folder in folders.items():
        loaded = load_project(folder)
        problems = [*check_project(loaded), *needs_model(loaded)]
        errors = sum(problem.severity is Severity.ERROR for problem in problems)
        level = Level.FAIL if errors else Level.WARN if problems else Level.OK
        text = f"{errors} errors, {len(problems) - errors} warnings."
        findings.append(Finding(level, f"project {project_id}", text, f"Run: warmline check {folder}"))
    return findings


async def server(http: aiohttp.ClientSession, url: str) -> Finding:
    """Whether a server answers on this machine and is ready."""
    try:
        async with http.get(f"{url}/readyz") as answer:
            body = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        remedy = "Start it with `warmline serve`, or name its address with --url."
        return Finding(Level.WARN, "server", f"No Warmline answers at {url} ({type(error).__name__}).", remedy)
    problems = body.get("problems", {}) if isinstance(body, dict) else {}
    if answer.status == 200:
        return Finding(Level.OK, "server", f"Ready at {url}.")
    named = ", ".join(f"{part}: {code}" for part, code in problems.items()) or f"HTTP {answer.status}"
    return Finding(Level.FAIL, "server", f"Not ready at {url}: {named}.", "See the server's log.")


async def backlog(installation: Installation) -> list[Finding]:
    """What waits, and what was given up."""
    store, now = installation.store, installation.clock.now()
    pending = await store.pending(range(PARTITIONS))
    unread = [row for row in await store.inbox_pending() if not row.parked]
    dead = await store.dead()
    return [
        _waiting("outbox", len(pending), [row.created_at for row in pending], now),
        _waiting("inbox", len(unread), [row.received_at for row in unread], now),
        Finding(
            Level.WARN if dead else Level.OK,
            "dead letters",
            f"{len(dead)}, the last: {dead[0].last_error}" if dead else "none",
            "These effects were given up. The server's log names each of them: outbox.dead_letter.",
        ),
    ]


def _waiting(subject: str, count: int, since: list[int], now: int) -> Finding:
    age_s = (now - min(since, default=now)) // 1000
    text = f"{count} waiting" + (f", the oldest for {age_s} s." if count else ".")
    remedy = "Is the server running, and are its destinations up? See the connections below."
    return Finding(Level.WARN if age_s > _OLD_S else Level.OK, subject, text, remedy)


async def connections(installation: Installation) -> list[Finding]:
    """State of every connection, and what its provider finds."""
    found: list[Finding] = []
    known = await installation.store.connections()
    heard = await installation.store.last_webhooks()
    for connection in known:
        subject = f"{connection.provider} {connection.name}"
        found.append(_state(subject, connection))
        try:
            module = installation.registry.module(connection.provider)
        except WarmlineError as error:
            found.append(Finding(Level.FAIL, subject, str(error)))
            continue
        if isinstance(module, InspectsConnections):
            paths = {endpoint: at for (owner, endpoint), at in heard.items() if owner == connection.id}
            environment = installation.registry.environment(connection.id)
            found += [finding(v, subject) for v in await module.inspect(connection, environment, paths)]
        found += await _last_report(installation, subject, connection)
    if not known:
        remedy = "Make one with `warmline connect add webex`."
        found.append(Finding(Level.WARN, "connections", "There is none: handoffs will fail.", remedy))
    if not await installation.store.connectors():
        remedy = "Make one with `warmline connector add --host www.example.com`."
        found.append(Finding(Level.WARN, "connectors", "There is none: no widget can reach a project.", remedy))
    return found


async def _last_report(installation: Installation, subject: str, connection: Connection) -> list[Finding]:
    """What the comparison of the last day with the contact centre's record came to."""
    made = await reports(installation.store, connection.id)
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


def _state(subject: str, connection: Connection) -> Finding:
    if connection.state == "connected":
        return Finding(Level.OK, f"{subject} state", f"Connected, for project {connection.project_id}.")
    text = f"{connection.state}: {connection.state_reason}"
    remedies = {
        "auth_failed": f"Get new credentials, then: warmline connect rotate {connection.id} client",
        "misconfigured": f"Mend what is named, then: warmline connect test {connection.id}",
    }
    return Finding(Level.FAIL, f"{subject} state", text, remedies.get(connection.state, ""))
