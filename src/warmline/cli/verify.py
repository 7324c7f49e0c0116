"""`warmline verify …`: one conversation, seen through from the customer's first word to the live agent's last."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import aiohttp
import typer

from warmline.cli.installation import DemoOption, chosen_settings, opened
from warmline.cli.logs import quiet_logging
from warmline.cli.report import Finding, Level, print_findings
from warmline.config import Settings
from warmline.domain.errors import ConfigError, WarmlineError
from warmline.ports import Connection, Connector
from warmline.testing.messaging_client import MessagingClient

SAY = "I want to dispute my bill"
"""What triggers the handoff in the example project."""
_CUSTOMER = "This is a test of the connection. Please answer anything, then end the conversation."
_AGENT = "Hello, this is the emulated agent."
_OVER = ("HANDOFF_FAILED", "HANDOFF_TIMEOUT", "SESSION_END")


class StepFailed(Exception):
    """A step did not come to its end; `cause` is the most likely reason, `remedy` what to do."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(text)
        self.cause = cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to verify. Seconds: `open_s` for Webex to take the conversation, `agent_s` for a person to act."""

    url: str
    connector: Connector
    connection: Connection
    say: tuple[str, ...]
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
    def __init__(self, plan: Plan, client: MessagingClient, agent: "EmulatedAgent | None") -> None:
        self._plan = plan
        self._client = client
        self._agent = agent

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
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StepFailed(
                f"no connection ({type(error).__name__})",
                f"no server answers at {self._plan.url}: start it with `warmline serve`, or give --url.",
            ) from None
        await self._until(
            "POLY_AGENT_MESSAGE", 15, "the project's start function says nothing or fails: `warmline chat` shows why."
        )

    async def _hand_over(self) -> None:
        for text in self._plan.say:
            await self._say(text)
            await self._wait(lambda: self._seen("POLY_AGENT_TRIGGERED_HANDOFF"), 2)
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
        await self._client.say_and_wait(text, timeout=10)
        await self._wait(
            lambda: len(self._client.all("POLY_AGENT_MESSAGE")) > before or self._seen("POLY_AGENT_TRIGGERED_HANDOFF"),
            20,
        )

    async def _join(self) -> None:
        plan = self._plan
        await self._until("HANDOFF_ACCEPTED", plan.open_s, _NOT_ACCEPTED.format(id=plan.connection.id))
        if self._agent is not None:
            await self._agent.take(plan.agent_s)
        else:
            typer.echo(f"      Now accept the conversation in the agent desktop (within {plan.agent_s:.0f} s).")
        await self._until("LIVE_AGENT_JOINED", plan.agent_s, _NOBODY)

    async def _talk(self) -> None:
        await self._client.say_and_wait(_CUSTOMER, timeout=10)
        await self._until("LIVE_AGENT_RECEIVED_MESSAGE", self._plan.open_s, _NOT_CONFIRMED)
        if self._agent is not None:
            await self._agent.say(_AGENT)
        else:
            typer.echo("      Now answer the customer in the agent desktop.")
        await self._until("LIVE_AGENT_MESSAGE", self._plan.agent_s, _NO_ANSWER)

    async def _end(self) -> None:
        if self._agent is not None:
            await self._agent.end()
        else:
            typer.echo("      Now end the conversation in the agent desktop.")
        await self._wait(lambda: self._client.ended is not None or self._returned(), self._plan.agent_s)
        if self._client.ended is None and not self._returned():
            raise StepFailed("no SESSION_END", _NOT_ENDED)

    def _returned(self) -> bool:
        """The connection gives customers back to the virtual agent after the live one."""
        types = self._client.types(transient=False)
        return "LIVE_AGENT_LEFT" in types and "POLY_AGENT_JOINED" in types[types.index("LIVE_AGENT_LEFT") :]

    def _seen(self, name: str) -> bool:
        return bool(self._client.all(name))

    async def _until(self, name: str, seconds: float, cause: str) -> None:
        await self._wait(lambda: self._seen(name) or any(map(self._seen, _OVER)), seconds)
        if self._seen(name):
            return
        for over in _OVER:
            if self._seen(over):
                reason = str(self._client.all(over)[-1].payload.get("reason", ""))
                raise StepFailed(f"{over} {reason}".strip(), failure_cause(over, reason, cause))
        raise StepFailed(f"no {name} within {seconds:.0f} s", cause)

    async def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        try:
            await self._client.wait(condition, "it", seconds)
        except TimeoutError:
            return


_NOT_ACCEPTED = (
    "the contact centre does not answer, or its events do not reach this server: `warmline doctor` tells which; "
    "state and reason: `warmline connect show {id}`."
)
_NOBODY = (
    "no agent is available in the queue, the agents' multimedia profile has no room for the channel, or the entry "
    "point's flow does not queue."
)
_NOT_CONFIRMED = (
    "the message was refused by the channel's policy, or the events for task messages do not reach this server: "
    "see the log for forward.undeliverable, and `warmline doctor`."
)
_NO_ANSWER = (
    "nobody answered; or the asset's webhook URL or secret in Control Hub is not the one of this connection "
    "(`warmline connect show`; in the log: webhook.refused)."
)
_NOT_ENDED = "nobody ended the conversation, or the events for tasks do not reach this server: `warmline doctor`."

_REASONS = {
    "CHANNEL_ASSET_UNDEFINED": "the business address or the channel's name is not exactly that of the asset.",
    "FEATURE_FLAG_DISABLED": "Custom Messaging is not enabled for the organization: ask your Cisco team.",
    "ENTRY_POINT_NOT_FOUND": "the asset has no entry point, or the entry point no active flow.",
    "ORG_DIGITAL_CONTACT_LIMIT_EXCEEDED": "the organization's limit of digital contacts is reached; try again later.",
    "CONVERSATION_ALREADY_OPEN": "an older conversation of the same customer is still open: end it in the desktop.",
    "not_connected": "the server knows no such connection: it was made while the server ran; start the server anew.",
}


def failure_cause(event: str, reason: str, otherwise: str) -> str:
    """Say why a handoff most likely ended too early, from what the customer's side was told."""
    for code, text in _REASONS.items():
        if code.lower() in reason.lower():
            return text
    if event == "HANDOFF_TIMEOUT":
        return _NOBODY
    if event == "SESSION_END":
        return "the conversation was ended before the step was over."
    return otherwise


@contextmanager
def _step(number: int, title: str) -> Iterator[None]:
    """Print how a step went and how long it took."""
    typer.echo(f"{number}. {title}")
    started = time.perf_counter()
    try:
        yield
    except (StepFailed, TimeoutError, WarmlineError) as error:
        failed = error if isinstance(error, StepFailed) else StepFailed(str(error), "see the server's log.")
        typer.secho("   fail ", fg="red", bold=True, nl=False)
        typer.echo(f"{failed} ({time.perf_counter() - started:.1f} s)")
        raise failed from None
    typer.secho("   ok   ", fg="green", bold=True, nl=False)
    typer.echo(f"{time.perf_counter() - started:.1f} s")


class EmulatedAgent:
    """Plays an agent at the emulator, through its control plane (`/__sim/v1`)."""

    def __init__(self, http: aiohttp.ClientSession, url: str, agent_id: str = "agent-1") -> None:
        self._http = http
        self._url = f"{url}/__sim/v1"
        self._agent_id = agent_id
        self._known: set[str] = set()
        self._task_id = ""

    async def begin(self) -> None:
        """Come to the desk; conversations that are open already are not ours."""
        self._known = {task["id"] for task in await self._tasks()}
        await self._act("login")
        await self._act("state", state="Available")

    async def take(self, seconds: float) -> None:
        """Accept the conversation of this test."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for task in await self._tasks():
                if task["id"] not in self._known and task["status"] == "offered":
                    self._agent_id = task["agentId"]
                    self._task_id = task["id"]
                    await self._act("accept", taskId=self._task_id)
                    return
            await asyncio.sleep(0.1)
        raise StepFailed("no offer at the emulated desktop", _NOBODY)

    async def say(self, text: str) -> None:
        """Write to the customer."""
        await self._act("say", taskId=self._task_id, text=text)

    async def end(self) -> None:
        """End the conversation."""
        await self._act("end", taskId=self._task_id)
        await self._act("wrapup", taskId=self._task_id)

    async def _tasks(self) -> list[dict[str, Any]]:
        async with self._http.get(f"{self._url}/tasks") as answer:
            if answer.status != 200:
                raise StepFailed(f"HTTP {answer.status}", _NO_EMULATOR)
            tasks: list[dict[str, Any]] = (await answer.json())["tasks"]
            return tasks

    async def _act(self, action: str, **body: str) -> None:
        async with self._http.post(f"{self._url}/agents/{self._agent_id}/{action}", json=body) as answer:
            if answer.status >= 300:
                raise StepFailed(f"the emulated agent cannot {action} (HTTP {answer.status})", _NO_EMULATOR)


_NO_EMULATOR = "--play-agent works against Warmline's Webex emulator only, whose agents must be free."


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
            raise ConfigError("--play-agent", f"{_NO_EMULATOR} ({type(error).__name__})") from None
        yield agent
