"""Functions that misbehave: contained, reported with file and line, harmless to every other session."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.agent_projects import Talk, calling, engine, rules, texts, topic_file, write_project
from support.messaging import until
from warmline.agent.turn.engine import ProjectEngine
from warmline.domain.turn import TurnOutcome

LIMIT_S = 2.0
"""For functions that would never end; others may take the time that a busy machine takes."""

BODIES = {
    "fine": 'return {"utterance": "Fine."}',
    "nap": "import time\ntime.sleep(0.2)\nreturn {'utterance': 'Awake.'}",
    "loop": "while True:\n    pass",
    "sleep": "import time\ntime.sleep(60)",
    "leave": "import os\nos._exit(3)",
    "exit": "import sys\nsys.exit(1)",
    "raise": "raise RuntimeError('secret of a customer')",
    "hog": "data = []\nwhile True:\n    data.append(bytearray(20_000_000))",
    "print": "for _ in range(300):\n    print('x' * 10_000)\nreturn {'utterance': 'Printed.'}",
    "unpicklable": "conv.state.bad = (n for n in [1])\nreturn {'utterance': 'Never.'}",
    "huge": "conv.state.big = 'x' * 5_000_000\nreturn {'utterance': 'Never.'}",
    "fork": "import os\nif os.fork() == 0:\n    return {'utterance': 'copy'}\nreturn {'utterance': 'Original.'}",
    "system": "import subprocess\nsubprocess.run(['sleep', '60'])",
    "murder": "import os\nos.kill(os.getppid(), 9)",
    "hidden_leave": "import ctypes\nctypes.CDLL(None)._exit(3)",
    "hidden_fork": (
        "import ctypes\nif ctypes.CDLL(None).fork() == 0:\n    while True:\n        pass\n"
        "return {'utterance': 'Original.'}"
    ),
    "hidden_daemon": (
        "import ctypes\nc = ctypes.CDLL(None)\nif c.fork() == 0:\n    c.setsid()\n    if c.fork() == 0:\n"
        "        while True:\n            c.sleep(1)\n    c._exit(0)\nc.wait(0)\nreturn {'utterance': 'Original.'}"
    ),
    "output": "return {'content': ['x' * 1000] * 5000}",
    "speech": "return {'utterance': 'A. ' * 500_000}",
    "words": "conv.say('A. ' * 500_000)",
    "logs": (
        "for _ in range(200):\n    conv.log.info('x' * 150_000, note=['y' * 150_000])\nreturn {'utterance': 'Logged.'}"
    ),
    "caught": ("import os\ntry:\n    os.fork()\nexcept OSError:\n    pass\nreturn {'utterance': 'Went on.'}"),
    "thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
        "return {'utterance': 'Started.'}"
    ),
    "close": "import os\nos.closerange(0, 64)\nreturn {'utterance': 'Never.'}",
    "babble": (
        "import os\nfor fd in range(64):\n    try:\n        os.write(fd, b'garbage' * 10)\n"
        "    except OSError:\n        pass\nreturn {'utterance': 'Maybe.'}"
    ),
    "deep": "def again():\n    return again()\nreturn again()",
    "signal": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
}


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[ProjectEngine]:
    """An engine for a project of functions that misbehave."""
    names = {name: f"do_{name}" for name in BODIES}
    root = write_project(tmp_path, calling(*((names[name], body) for name, body in BODIES.items())))
    running = engine(root, memory_mb=300)
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def hasty(project: ProjectEngine, tmp_path: Path) -> AsyncIterator[ProjectEngine]:
    """Another one for the same project, with a limit that is soon reached."""
    running = engine(tmp_path, limit_s=LIMIT_S, memory_mb=300)
    await running.start()
    yield running
    await running.close()


async def test_what_a_function_logs_is_kept_in_bounds(project: ProjectEngine) -> None:
    outcome = await run(project, "logs")
    assert texts(outcome) == ["Logged."]
    (call,) = outcome.calls
    assert len(call.logs) == 200
    assert str(call.logs[0]["content"]).startswith("xxx")
    assert len(repr(call.logs)) < 2_000_000


async def run(running: ProjectEngine, name: str, session: str = "s") -> TurnOutcome:
    return await Talk(running, session).say(f"please run do_{name} now")


async def still_works(running: ProjectEngine) -> None:
    assert texts(await run(running, "fine", "another")) == ["Fine."]


@pytest.mark.parametrize(
    ("name", "rule", "line"),
    [
        ("leave", "function-exit", 7),
        ("hidden_leave", "function-crash", 5),
        ("exit", "function-exit", 7),
        ("raise", "function-error", 6),
        ("unpicklable", "state-not-kept", 5),
        ("huge", "state-not-kept", 5),
        ("deep", "function-error", 7),
        ("signal", "function-crash", 7),
        ("fork", "function-process", 7),
        ("system", "function-process", 7),
        ("murder", "function-process", 7),
        ("output", "function-output", 5),
        ("speech", "function-output", 5),
        ("words", "function-output", 5),
    ],
)
async def test_it_is_contained_and_reported_with_file_and_line(
    project: ProjectEngine, name: str, rule: str, line: int
) -> None:
    outcome = await run(project, name)
    assert outcome.failed
    assert outcome.says == ()
    finding = outcome.findings[0]
    assert (finding.rule, finding.file, finding.line) == (rule, f"functions/do_{name}.py", line)
    assert outcome.calls[0].error.startswith(rule)
    await still_works(project)


# A busy loop is caught on either of its two lines.
@pytest.mark.parametrize(("name", "lines"), [("loop", (6, 7)), ("sleep", (7,))])
async def test_what_never_ends_is_stopped_and_reported_with_file_and_line(
    hasty: ProjectEngine, name: str, lines: tuple[int, ...]
) -> None:
    outcome = await run(hasty, name)
    assert outcome.failed
    assert outcome.says == ()
    finding = outcome.findings[0]
    assert (finding.rule, finding.file) == ("function-timeout", f"functions/do_{name}.py")
    assert finding.line in lines
    assert outcome.calls[0].error.startswith("function-timeout")
    await still_works(hasty)


async def test_printing_megabytes_is_kept_short_and_out_of_the_way(project: ProjectEngine) -> None:
    outcome = await run(project, "print")
    assert texts(outcome) == ["Printed."]
    (log,) = outcome.calls[0].logs
    assert log["level"] == "print"
    assert len(str(log["content"])) < 20_000
    assert "more characters" in str(log["content"])
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [("function-prints", "functions/do_print.py", 7)]
    await still_works(project)


async def test_memory_without_end_is_contained_and_reported_with_file_and_line(tmp_path: Path) -> None:
    files = calling(*((f"do_{name}", BODIES[name]) for name in ("fine", "hog")))
    running = engine(write_project(tmp_path, files), memory_mb=300)
    outcome = await run(running, "hog")
    assert outcome.failed
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [("function-memory", "functions/do_hog.py", 8)]
    await still_works(running)
    await running.close()


@pytest.mark.parametrize("name", ["hidden_fork", "hidden_daemon"])
async def test_a_hidden_fork_answers_once_and_does_not_live_on(project: ProjectEngine, name: str) -> None:
    assert texts(await run(project, name)) == ["Original."]
    await still_works(project)
    await nothing_else_runs()


async def test_a_refused_process_is_reported_also_when_the_function_goes_on(project: ProjectEngine) -> None:
    outcome = await run(project, "caught")
    assert texts(outcome) == ["Went on."]
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [("function-process", "functions/do_caught.py", 8)]


async def test_a_thread_left_running_does_not_meet_the_next_session(project: ProjectEngine) -> None:
    assert texts(await run(project, "thread")) == ["Started."]
    await still_works(project)


@pytest.mark.parametrize("name", ["close", "babble"])
async def test_attacks_on_the_pipes_end_the_worker_only(project: ProjectEngine, name: str) -> None:
    outcome = await run(project, name)
    assert outcome.failed or texts(outcome) == ["Maybe."]
    await still_works(project)


async def test_what_an_error_says_stays_out_of_the_servers_log(
    project: ProjectEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = await run(project, "raise")
    assert "secret of a customer" in outcome.findings[0].text
    await run(project, "print")
    seen = capfd.readouterr()
    assert "secret of a customer" not in seen.out + seen.err
    assert "xxxxx" not in seen.out + seen.err


async def test_twenty_sessions_go_on_beside_hanging_ones(tmp_path: Path) -> None:
    files = calling(*((f"do_{name}", BODIES[name]) for name in ("fine", "loop", "sleep")))
    running = engine(write_project(tmp_path, files), limit_s=60.0)
    await running.start()
    hanging = [asyncio.create_task(run(running, name, f"hang-{name}")) for name in ("loop", "sleep", "sleep")]
    await asyncio.sleep(0.1)
    await still_works(running)
    turns = (run(running, "fine", f"session-{number}") for number in range(20))
    assert [texts(outcome) for outcome in await asyncio.gather(*turns)] == [["Fine."]] * 20
    assert not any(task.done() for task in hanging), "nobody waited for one of them"
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await running.close()


async def test_the_event_loop_is_never_held_up(hasty: ProjectEngine) -> None:
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(run(hasty, name, name) for name in ("hog", "loop", "print", "fine", "leave")))
    watching.cancel()
    # Held up by a function it would be for the function's limit; a busy machine alone takes less.
    assert longest < 0.8 * LIMIT_S


def running(server: int | None = None) -> dict[int, tuple[int, int, int]]:
    """Give the templates, workers and what they made below a process, this one by default, that have not ended.

    Returns:
        The parent, the process group and the session of each.
    """
    found: dict[int, tuple[int, int, int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if fields[0] != "Z" and b"warmline.agent.turn.worker" in command:
            found[int(entry.name)] = (int(fields[1]), int(fields[2]), int(fields[3]))
    below = {server or os.getpid()}
    while more := {pid for pid, (parent, _, _) in found.items() if parent in below} - below:
        below |= more
    return {pid: values for pid, values in found.items() if pid in below}


def computing() -> list[int]:
    """Give what functions have started: templates and workers lead process groups in the server's session."""
    return [pid for pid, (_, group, session) in running().items() if group != pid or session != os.getsid(0)]


async def nothing_else_runs() -> None:
    """Wait until functions have left nothing running; workers may."""
    await until(lambda: computing() == [])


async def test_no_process_is_left_behind(project: ProjectEngine, hasty: ProjectEngine) -> None:
    before = running()
    assert before
    for name in ("hidden_fork", "hidden_daemon", "thread"):
        await run(project, name)
    await run(hasty, "loop")
    await project.close()
    await hasty.close()
    await until(lambda: running() == {})


def template() -> int:
    """The process that makes workers."""
    (found,) = [pid for pid, (parent, _, _) in running().items() if parent == os.getpid()]
    return found


def rests(project: ProjectEngine) -> bool:
    """The template and two idle workers run; more where the machine was too busy for them."""
    return project.workers()["idle"] == len(running()) - 1 >= 2


async def test_a_lost_template_is_made_anew_and_nothing_of_it_stays_open(project: ProjectEngine) -> None:
    def opened() -> int:
        """How many descriptors are open besides the two of each process."""
        return len(os.listdir("/proc/self/fd")) - 2 * len(running())

    await still_works(project)
    await until(lambda: rests(project))
    at_first = opened()
    for _ in range(3):
        former = set(running())
        os.kill(template(), signal.SIGKILL)
        await until(lambda gone=former: gone.isdisjoint(running()) and rests(project))  # type: ignore[misc]
        await still_works(project)
        await until(lambda: rests(project))
    await until(lambda: rests(project) and opened() <= at_first)


async def test_a_template_that_is_lost_while_it_makes_a_worker_leaves_none_missing(project: ProjectEngine) -> None:
    await until(lambda: rests(project))
    former, lost = set(running()), template()
    os.kill(lost, signal.SIGSTOP)
    # That takes long enough for one more worker to be asked for.
    assert texts(await run(project, "nap")) == ["Awake."]
    os.kill(lost, signal.SIGKILL)
    await until(lambda: former.isdisjoint(running()) and rests(project))
    await still_works(project)


async def test_a_file_that_hangs_when_imported_costs_only_itself(tmp_path: Path) -> None:
    files = calling(("good", 'return {"utterance": "Good."}'), ("bad", "return None"))
    files["functions/bad.py"] = "import time\ntime.sleep(60)\n" + files["functions/bad.py"]
    running = engine(write_project(tmp_path, files), limit_s=LIMIT_S)
    await running.start()
    talk = Talk(running)
    assert texts(await talk.say("please run good now")) == ["Good."]
    outcome = await talk.say("please run bad now")
    assert (outcome.failed, rules(outcome)) == (True, ["function-timeout"])
    assert [(f.file, f.line) for f in running.findings if f.rule == "import-failed"] == [("functions/bad.py", 2)]
    await running.close()


async def test_a_cancelled_turn_takes_its_function_with_it(project: ProjectEngine) -> None:
    turn = asyncio.create_task(run(project, "sleep"))
    await asyncio.sleep(0.1)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    await still_works(project)


SERVER = """
import asyncio, structlog, sys
from pathlib import Path
from support.agent_projects import Talk, engine

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main():
    running = engine(Path(sys.argv[1]), limit_s=60.0)
    await running.start()
    asyncio.create_task(Talk(running).say("please run do_loop now"))
    await asyncio.sleep(0.5)
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_functions_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    write_project(tmp_path, calling(("do_loop", BODIES["loop"])))
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert server.stdout is not None
    assert b"ready" in await server.stdout.readline()
    left = set(running(server.pid))
    assert len(left) >= 2
    server.kill()
    await server.wait()
    await until(lambda: all(" Z " in stat(pid) for pid in left))


def stat(pid: int) -> str:
    """Give what the system says of a process that may just have ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return " Z "


async def test_too_little_memory_for_any_function_is_told_and_answers_go_on(tmp_path: Path) -> None:
    files = calling(("do_fine", BODIES["fine"])) | {
        "topics/hours.yaml": topic_file("hours", "when are you open", content="From 8 to 18.")
    }
    running = engine(write_project(tmp_path, files), memory_mb=8)
    await running.start()
    assert [(f.rule, f.file) for f in running.findings] == [("import-failed", "functions/do_fine.py")]
    assert (await run(running, "fine")).failed
    assert texts(await Talk(running).say("when are you open")) == ["From 8 to 18."]
    await running.close()
