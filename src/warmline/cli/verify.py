"""`warmline verify …`: one conversation, seen through from the customer's first word to the live agent's last."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated

import aiohttp
import typer

from warmline.cli.emulated_agent import EmulatedAgent
from warmline.cli.installation import DemoOption, chosen_settings, opened
from warmline.cli.logs import quiet_logging
from warmline.cli.report import print_findings
from warmline.cli.verify_causes import (
    NO_ANSWER,
    NO_EMULATOR,
    NOBODY,
    NOT_ACCEPTED,
    NOT_CONFIRMED,
    NOT_ECHOED,
    NOT_ENDED,
    StepFailed,
    failure_cause,
)
from warmline.config import Settings
from warmline.domain.errors import ConfigError, WarmlineError
from warmline.ports import Connection, Connector, Finding, Level
from warmline.testing.messaging_client import MessagingClient, Refused

SAY = "I want to dispute my bill"
"""What triggers the handoff in the example project."""
_CUSTOMER = "This is a test of the connection. Please answer anything, then end the conversation."
_AGENT = "Hello, this is the emulated agent."
_OVER = ("HANDOFF_FAILED", "HANDOFF_TIMEOUT", "SESSION_END")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to verify. Seconds: `answer_s` for the server and the virtual agent, `open_s` for the contact centre to take
    the conversation, `agent_s` for a person to act.
    """

    url: str
    connector: Connector
    connection: Connection
    say: tuple[str, ...]
    answer_s: float = 20.0
    open_s: float = 30.0
    agent_s: float = 120.0
    emulator_url: str = ""


def verify(
    provider: Annotated[str, typer.Argument(help="Contact centre, such as webex.")],
    connection: Annotated[str, typer.Option(help="Id or name, where there are several.")] = "",
    url: Annotated[str, typer.Option(help="Where the server answers; default: WARMLINE_PUBLIC_URL.")] = "",
    connector: Annotated[str, typer.Option(help="Connector token; default: the first of the project.")] = "",
    say: Annotated[list[str] | None, typer.Option(help="What the customer says until the handoff; repeatable.")] = None,
    wait: Annotated[float, typer.Option(min=1, help="Seconds a person has for each action.")] = 120.0,
    play_agent: Annotated[bool, typer.Option(help="Play the agent too; against the emulator only.")] = False,
    demo: DemoOption = None,
) -> None:
    """Run the five verify steps against the running server: exit 1 with the likely cause when one fails."""
    quiet_logging()

    async def run() -> bool:
        settings = chosen_settings(demo)
        plan = await make_plan(settings, provider, connection, url, connector, tuple(say or (SAY,)), wait, play_agent)
        return await run_steps(plan)

    if not asyncio.run(run()):
        raise typer.Exit(1)


async def make_plan(
    settings: Settings,
    provider: str,
    wanted: str,
    url: str,
    token: str,
    say: tuple[str, ...],
    agent_s: float,
    play_agent: bool,
) -> Plan:
    """What the options and the database amount to. Raises ConfigError, naming what is missing."""
    async with opened(settings, reading=True) as installation:
        of_provider = [c for c in await installation.store.connections() if c.provider == provider]
        connection = await installation.connection(wanted) if wanted else of_provider[0] if of_provider else None
        if connection is None or connection.provider != provider:
            raise ConfigError(provider, f"there is no such connection: warmline connect add {provider}")
        if not wanted and len(of_provider) > 1:
            raise ConfigError("--connection", f"name one of: {', '.join(c.id for c in of_provider)}")
        fitting = [
            c
            for c in await installation.store.connectors()
            if c.host and c.project_id == connection.project_id and token in ("", c.token)
        ]
    if not fitting:
        raise ConfigError("--connector", "there is no connector for the project: warmline connector add --host HOST")
    emulator = connection.values.get("api_base_url", "") if play_agent else ""
    if play_agent and not emulator:
        raise ConfigError("--play-agent", "the connection does not lead to an emulator")
    return Plan(
        url=(url or settings.public_url).rstrip("/"),
        connector=fitting[0],
        connection=connection,
        say=say,
        agent_s=agent_s,
        emulator_url=emulator.rstrip("/"),
    )


async def run_steps(plan: Plan) -> bool:
    """Run and print the steps; False when one failed. Ends the conversation whatever happens."""
    typer.echo(f"Verifying {plan.connection.name} ({plan.connection.id}) through {plan.url}\n")
    if plan.connection.state != "connected":
        print_findings([Finding(Level.WARN, "connection", f"{plan.connection.state}: {plan.connection.state_reason}")])
    client = MessagingClient(plan.url, token=plan.connector.token, host=plan.connector.host)
    async with client, _agent(plan) as agent:
        try:
            await _Steps(plan, client, agent).run()
        except StepFailed as failure:
            typer.secho("      most likely: ", nl=False)
            typer.echo(failure.cause)
            return False
        finally:
            await _leave(client)
    typer.echo("\nAll five steps passed.")
    return True


async def _leave(client: MessagingClient) -> None:
    if client.connections and client.ended is None and not client.connections[-1].closed.is_set():
        await client.end()
        try:
            await client.expect("SESSION_END", timeout=3)
        except TimeoutError:
            return


class _Steps:
    def __init__(self, plan: Plan, client: MessagingClient, agent: EmulatedAgent | None) -> None:
        self._plan = plan
        self._client = client
        self._agent = agent
        self._gone = False

    async def run(self) -> None:
        with _step(1, "A customer opens the chat and the virtual agent answers"):
            await self._open()
        with _step(2, "A topic hands the conversation over"):
            await self._hand_over()
        with _step(3, "The contact centre takes it, and a live agent joins"):
            await self._join()
        with _step(4, "Messages go both ways"):
            await self._talk()
        with _step(5, "The live agent ends it, and the chat closes"):
            await self._end()

    async def _open(self) -> None:
        try:
            await self._client.start()
        except aiohttp.ClientResponseError as error:
            raise StepFailed(
                f"the server answered HTTP {error.status}",
                "the connector token is unknown to the server, or its host is not the page's: "
                "see `warmline connector list`.",
            ) from None
        except Refused as error:
            raise StepFailed(
                f"the WebSocket was answered HTTP {error.status}",
                "a proxy before the server does not pass WebSockets on: /ws needs the headers Upgrade and Connection.",
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StepFailed(
                f"no connection ({type(error).__name__})",
                f"no server answers at {self._plan.url}: start it with `warmline serve`, or give --url.",
            ) from None
        await self._until(
            "POLY_AGENT_MESSAGE",
            self._plan.answer_s,
            "the project's start function says nothing or fails: `warmline chat` shows why.",
        )

    async def _hand_over(self) -> None:
        for text in self._plan.say:
            await self._say(text)
            await self._wait(lambda: self._seen("POLY_AGENT_TRIGGERED_HANDOFF"), min(2.0, self._plan.answer_s))
            if self._seen("POLY_AGENT_TRIGGERED_HANDOFF"):
                return
        raise StepFailed(
            "no POLY_AGENT_TRIGGERED_HANDOFF",
            f"none of these words lead to a topic that hands over: {' | '.join(self._plan.say)}. "
            "Give the words that do with --say, once for each thing the customer says.",
        )

    async def _say(self, text: str) -> None:
        """Say it and wait for what comes of it."""
        before = len(self._client.all("POLY_AGENT_MESSAGE"))
        await self._send(text)
        await self._wait(
            lambda: len(self._client.all("POLY_AGENT_MESSAGE")) > before or self._seen("POLY_AGENT_TRIGGERED_HANDOFF"),
            self._plan.answer_s,
        )

    async def _send(self, text: str) -> None:
        draft = await self._client.say(text)
        await self._wait(lambda: draft.state != "sending", self._plan.answer_s)
        if draft.state != "sent":
            raise StepFailed("the server does not confirm the customer's message", NOT_ECHOED)

    async def _join(self) -> None:
        plan = self._plan
        await self._until("HANDOFF_ACCEPTED", plan.open_s, NOT_ACCEPTED.format(id=plan.connection.id))
        if self._agent is not None:
            await self._agent.take(plan.agent_s)
        else:
            typer.echo(f"      Now accept the conversation in the agent desktop (within {plan.agent_s:.0f} s).")
        await self._until("LIVE_AGENT_JOINED", plan.agent_s, NOBODY)

    async def _talk(self) -> None:
        await self._send(_CUSTOMER)
        await self._until("LIVE_AGENT_RECEIVED_MESSAGE", self._plan.open_s, NOT_CONFIRMED)
        if self._agent is not None:
            await self._agent.say(_AGENT)
        else:
            typer.echo("      Now answer the customer in the agent desktop.")
        await self._until("LIVE_AGENT_MESSAGE", self._plan.agent_s, NO_ANSWER, "task-message:appended")

    async def _end(self) -> None:
        if self._agent is not None:
            await self._agent.end()
        else:
            typer.echo("      Now end the conversation in the agent desktop.")
        await self._wait(lambda: self._client.ended is not None or self._returned(), self._plan.agent_s)
        if self._client.ended is None and not self._returned() and not self._gone:
            raise StepFailed(
                f"no SESSION_END within {self._plan.agent_s:.0f} s",
                NOT_ENDED + await self._delivered("task:ended", "subscription"),
            )

    def _returned(self) -> bool:
        """The connection gives customers back to the virtual agent after the live one."""
        types = self._client.types(transient=False)
        return "LIVE_AGENT_LEFT" in types and "POLY_AGENT_JOINED" in types[types.index("LIVE_AGENT_LEFT") :]

    def _seen(self, name: str) -> bool:
        return bool(self._client.all(name))

    async def _delivered(self, event: str, destination: str) -> str:
        """What the emulator knows of its webhooks; nothing to tell of a real contact centre."""
        return "" if self._agent is None else f"\n      {await self._agent.deliveries(event, destination)}"

    async def _until(self, name: str, seconds: float, cause: str, asset_webhook: str = "") -> None:
        await self._wait(lambda: self._seen(name) or any(map(self._seen, _OVER)), seconds)
        if self._seen(name):
            return
        for over in _OVER:
            if self._seen(over):
                reason = str(self._client.all(over)[-1].payload.get("reason", ""))
                raise StepFailed(f"{over} {reason}".strip(), failure_cause(over, reason, cause))
        if self._gone:
            raise StepFailed("it was over when the connection came back", failure_cause("SESSION_END", "", cause))
        told = await self._delivered(asset_webhook, "asset") if asset_webhook else ""
        raise StepFailed(f"no {name} within {seconds:.0f} s", cause + told)

    async def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        """Until `condition` holds or the time is over. A socket that breaks is opened again, as widgets do."""
        deadline = time.monotonic() + seconds
        while not condition() and not self._gone and (left := deadline - time.monotonic()) > 0:
            if self._is_cut():
                await self._come_back()
                continue
            with contextlib.suppress(TimeoutError):
                await self._client.wait(lambda: condition() or self._is_cut(), "it", left)

    def _is_cut(self) -> bool:
        return self._client.ended is None and self._client.connections[-1].closed.is_set()

    async def _come_back(self) -> None:
        code = self._client.connections[-1].close_code
        try:
            await self._client.reconnect()
        except Refused as refused:
            # A session that ended meanwhile is unknown (messaging-protocol.md W24).
            self._gone = refused.status == 404
            await asyncio.sleep(0.5)
            return
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(0.5)
            return
        typer.echo(f"      The connection to the server broke (code {code}) and was opened again.")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def _step(number: int, title: str) -> Iterator[None]:
    """Print how a step went and how long it took."""
    typer.echo(f"{number}. {title}")
    started = time.perf_counter()
    try:
        yield
    except (StepFailed, WarmlineError, aiohttp.ClientError, TimeoutError, OSError) as error:
        failed = (
            error
            if isinstance(error, StepFailed)
            else StepFailed(_words(error), "something stopped meanwhile: see the server's log.")
        )
        typer.secho("   fail ", fg="red", bold=True, nl=False)
        typer.echo(f"{failed} ({time.perf_counter() - started:.1f} s)")
        raise failed from None
    typer.secho("   ok   ", fg="green", bold=True, nl=False)
    typer.echo(f"{time.perf_counter() - started:.1f} s")


@asynccontextmanager
async def _agent(plan: Plan) -> AsyncIterator[EmulatedAgent | None]:
    if not plan.emulator_url:
        yield None
        return
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        agent = EmulatedAgent(http, plan.emulator_url)
        try:
            await agent.begin()
        except (StepFailed, aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ConfigError("--play-agent", f"{NO_EMULATOR} ({type(error).__name__})") from None
        yield agent
