"""The command line: `warmline …`."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
import uvloop
from rich.console import Console
from rich.markup import escape

from warmline import __version__
from warmline.cli import connect, connector, key, secrets, sms, user
from warmline.cli.backup import backup
from warmline.cli.chat import chat
from warmline.cli.check import check
from warmline.cli.doctor import doctor
from warmline.cli.erase import erase
from warmline.cli.logs import configure_logging
from warmline.cli.new import new
from warmline.cli.serve import serve, worker
from warmline.cli.test import run_tests
from warmline.cli.verify import verify
from warmline.domain.errors import ConfigError, WarmlineError

# Topics are fitted on the side: more BLAS threads than one only take the cores from conversations.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

app = typer.Typer(
    name="warmline",
    help="Conversational agents that hand the live conversation to a human in a contact centre.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
emulate = typer.Typer(help="Stand-alone emulators of the systems around Warmline.", no_args_is_help=True)
app.add_typer(emulate, name="emulate")
app.command()(check)
app.command()(chat)
app.command("test")(run_tests)
app.command()(new)
app.add_typer(connect.app, name="connect")
app.add_typer(connector.app, name="connector")
app.add_typer(sms.app, name="sms")
app.add_typer(key.app, name="key")
app.add_typer(secrets.app, name="secrets")
app.command()(doctor)
app.command()(backup)
app.command()(erase)
app.add_typer(user.app, name="user")
app.command()(verify)
app.command()(serve)
app.command()(worker)

_console = Console()
_errors = Console(stderr=True)


@app.command()
def version() -> None:
    """Print the version."""
    _console.print(__version__)


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Warmline and the demo page.")] = 8080,
    webex_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the emulated Webex.")] = 8090,
    sms_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the emulated SMS carrier.")] = 8091,
    data: Annotated[Path, typer.Option(help="Where the demo keeps its database and key.")] = Path(".warmline/demo"),
    project: Annotated[Path | None, typer.Option(help="Agent project; the example supplier when left out.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the demo page in a browser.")] = True,
) -> None:
    """Run everything on this machine: Warmline, emulators of Webex and of an SMS carrier, a page with the widget."""
    from warmline.cli.demo import example_project, run_demo

    configure_logging("console", level=30)
    uvloop.run(
        run_demo(
            port=port,
            webex_port=webex_port,
            sms_port=sms_port,
            data=data,
            project=project or example_project(),
            browser=browser and sys.stdout.isatty(),
            console=_console,
        )
    )


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date, then stop."""
    from warmline.config import load_settings
    from warmline.store import open_store
    from warmline.store.secretbox import AesSecretBox
    from warmline.system import SystemIds

    settings = load_settings()
    configure_logging(settings.log_format)

    async def run() -> None:
        keys = settings.secret_keys
        store = open_store(settings.database_url, SystemIds(), AesSecretBox(keys[0], keys[1:]))
        await store.start()
        await store.close()

    uvloop.run(run())
    _console.print("The database is up to date.")


@emulate.command("webex")
def emulate_webex(
    port: Annotated[int, typer.Option(help="Where it listens.")] = 8090,
    host: Annotated[str, typer.Option(help="Address it binds.")] = "127.0.0.1",
    relaxed: Annotated[
        bool,
        typer.Option(
            "--relaxed/--strict", envvar="SIM_RELAXED", help="Permit http, ports and local names in URLs, or refuse."
        ),
    ] = True,
    seed: Annotated[int, typer.Option(help="Makes ids repeatable.")] = 0,
    settings: Annotated[
        Path | None, typer.Option(help="JSON file with settings, as `PUT /__sim/v1/config` takes them.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="SQLite file that keeps everything between starts; without it all is forgotten.")
    ] = None,
) -> None:
    """Run an emulated Webex Contact Center with an agent desktop."""
    from warmline.cli.emulate import webex_settings
    from warmline.emulators.webex import StorageError, demo_values, start

    configure_logging("console", level=30)
    chosen = webex_settings(settings, relaxed=relaxed, seed=seed)

    async def run() -> None:
        try:
            sim = await start(chosen, host, port, data)
        except OSError as error:
            raise ConfigError("--port", f"{host}:{port} cannot be used: {error.strerror}") from None
        except StorageError as error:
            raise ConfigError("--data", str(error)) from None
        _console.print("Emulated Webex Contact Center. What a connection to it needs:")
        for field, value in demo_values(sim.sim.settings, sim.url).items():
            typer.echo(f'{field} = "{value}"')
        typer.echo(f"\nAgent desktop  {sim.url}/desktop/\nControl plane  {sim.url}/__sim/v1/")
        await _until_stopped()
        await sim.stop()

    uvloop.run(run())


@emulate.command("llm")
def emulate_llm(
    script: Annotated[Path | None, typer.Argument(help="What it answers: YAML or JSON.", dir_okay=False)] = None,
    port: Annotated[int, typer.Option(help="Where it listens.")] = 8092,
    host: Annotated[str, typer.Option(help="Address it binds.")] = "127.0.0.1",
) -> None:
    """Run an emulated language model that answers by script over the chat completions API."""
    from warmline.emulators.llm import Script, ScriptError, load_script, start

    configure_logging("console", level=30)
    try:
        played = load_script(script) if script else Script()
    except ScriptError as problem:
        raise typer.BadParameter(str(problem), param_hint="SCRIPT") from None

    async def run() -> None:
        llm = await start(played, host, port)
        _console.print(f"API            {llm.url}/v1\nModel          {played.model}")
        _console.print(f"Control plane  {llm.url}/__sim/v1/")
        await _until_stopped()
        await llm.stop()

    uvloop.run(run())


@emulate.command("sms")
def emulate_sms(
    port: Annotated[int, typer.Option(help="Where it listens.")] = 8091,
    host: Annotated[str, typer.Option(help="Address it binds.")] = "127.0.0.1",
    webhook: Annotated[str, typer.Option(help="Where texts are announced, for all numbers.")] = "",
    opt_out: Annotated[str, typer.Option(help="Who answers STOP: off (nobody), default or advanced.")] = "off",
    seed: Annotated[int, typer.Option(help="Makes ids repeatable.")] = 0,
) -> None:
    """Run an emulated SMS carrier with phones to text from."""
    from warmline.emulators.sms import NumberSpec, SmsSettings, demo_values, start

    if opt_out not in ("off", "default", "advanced"):
        raise ConfigError("--opt-out", "must be off, default or advanced")
    configure_logging("console", level=30)
    given = SmsSettings()
    numbers = tuple(NumberSpec(number=spec.number, sms_url=webhook) for spec in given.numbers)
    settings = SmsSettings(numbers=numbers, opt_out=cast(Any, opt_out), seed=seed)

    async def run() -> None:
        sim = await start(settings, host, port)
        _console.print("Emulated SMS carrier; the fields of `warmline sms add`:")
        for name, value in demo_values(settings, sim.url).items():
            _console.print(f"  {name} = {value}", highlight=False)
        _console.print(f"Phones         {sim.url}/phone/")
        _console.print(f"Control plane  {sim.url}/__sim/v1/")
        await _until_stopped()
        await sim.stop()

    uvloop.run(run())


async def _until_stopped() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def main() -> None:
    """Entry point: errors that decide become one line and exit code 1."""
    try:
        app()
    except WarmlineError as error:
        _errors.print(f"[bold red]Error[/bold red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
