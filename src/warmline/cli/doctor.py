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
from warmline.cli.installation import DemoOption, chosen_settings, opened
from warmline.cli.logs import quiet_logging
from warmline.cli.public_address import public_address
from warmline.cli.report import print_findings
from warmline.config import Settings
from warmline.domain.errors import ConfigError, WarmlineError
from warmline.health import backlog, connection_findings, sealed
from warmline.ports import Finding, Level

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)

UrlOption = Annotated[
    str, typer.Option("--url", help="Where the server answers on this machine; default: from the settings.")
]


def doctor(url: UrlOption = "", demo: DemoOption = None) -> None:
    """Check settings, projects, database, secrets, addresses, clock, connections, webhooks; exit 1 if one fails."""
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
            yield await sealed(installation.store)
            for item in await backlog(installation.store, installation.clock.now()):
                yield item
            for item in await connection_findings(installation.store, installation.registry, inspect=True):
                yield item
    except WarmlineError as error:
        yield Finding(Level.FAIL, "database", str(error), "Everything that lies in the database could not be checked.")


def projects(settings: Settings) -> Iterable[Finding]:
    """What `warmline check` finds in the projects, counted."""
    from warmline.agent.project.folders import find_projects

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
