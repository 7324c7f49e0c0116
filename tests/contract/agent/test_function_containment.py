"""Functions that misbehave: contained, reported with file and line, harmless to every other session."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.agent_projects import Talk, calling, engine, rules, texts, write_project
from warmline.agent.turn.engine import ProjectEngine
from warmline.domain.turn import TurnOutcome

LIMIT_S = 1.0

BODIES = {
    "fine": 'return {"utterance": "Fine."}',
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
    running = engine(root, limit_s=LIMIT_S, memory_mb=300)
    await running.start()
    yield running
    await running.close()


async def run(running: ProjectEngine, name: str, session: str = "s") -> TurnOutcome:
    return await Talk(running, session).say(f"please run do_{name} now")


async def still_works(running: ProjectEngine) -> None:
    assert texts(await run(running, "fine", "another")) == ["Fine."]


@pytest.mark.parametrize(
    ("name", "rule", "line"),
    [
        ("loop", "function-timeout", 6),
        ("sleep", "function-timeout", 7),
        ("leave", "function-crash", 5),
        ("exit", "function-exit", 7),
        ("raise", "function-error", 6),
        ("hog", "function-memory", 8),
        ("unpicklable", "state-not-kept", 5),
        ("huge", "state-not-kept", 5),
        ("deep", "function-error", 7),
        ("signal", "function-crash", 5),
    ],
)
async def test_it_is_contained_and_reported_with_file_and_line(
    project: ProjectEngine, name: str, rule: str, line: int
) -> None:
    started = time.monotonic()
    outcome = await run(project, name)
    assert time.monotonic() - started < LIMIT_S + 3
    assert outcome.failed
    assert outcome.says == ()
    finding = outcome.findings[0]
    assert (finding.rule, finding.file) == (rule, f"functions/do_{name}.py")
    # A busy loop is caught on either of its two lines.
    assert finding.line in ((line, line + 1) if name == "loop" else (line,))
    assert outcome.calls[0].error.startswith(rule)
    await still_works(project)


async def test_printing_megabytes_is_kept_short_and_out_of_the_way(project: ProjectEngine) -> None:
    outcome = await run(project, "print")
    assert texts(outcome) == ["Printed."]
    (log,) = outcome.calls[0].logs
    assert log["level"] == "print"
    assert len(str(log["content"])) < 20_000
    assert "more characters" in str(log["content"])
    await still_works(project)


async def test_a_fork_answers_once_and_does_not_live_on(project: ProjectEngine) -> None:
    assert texts(await run(project, "fork")) == ["Original."]
    await still_works(project)


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
    running = engine(write_project(tmp_path, files), limit_s=3.0)
    await running.start()
    hanging = [asyncio.create_task(run(running, name, f"hang-{name}")) for name in ("loop", "sleep", "sleep")]
    await asyncio.sleep(0.1)
    started = time.monotonic()
    await still_works(running)
    assert time.monotonic() - started < 2.0

    async def one(number: int) -> float:
        before = time.monotonic()
        assert texts(await run(running, "fine", f"session-{number}")) == ["Fine."]
        return time.monotonic() - before

    taken = sorted(await asyncio.gather(*(one(number) for number in range(20))))
    assert not any(task.done() for task in hanging)
    assert taken[-1] < 0.4, taken
    assert all(rules(outcome) == ["function-timeout"] for outcome in await asyncio.gather(*hanging))
    await running.close()


async def test_the_event_loop_is_never_held_up(project: ProjectEngine) -> None:
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(run(project, name, name) for name in ("hog", "loop", "print", "fine", "leave")))
    watching.cancel()
    # Held up by a function it would be for the function's limit of a second; a busy machine alone takes less.
    assert longest < 0.8


async def test_no_process_is_left_behind(project: ProjectEngine) -> None:
    for name in ("fork", "thread", "loop"):
        await run(project, name)
    await project.close()
    await asyncio.sleep(0.1)
    root = str(project.project.root)
    alive = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            state = (entry / "status").read_text()
        except OSError:
            continue
        if b"warmline.agent.turn.worker" in command and "State:\tZ" not in state:
            alive.append((entry.name, state.split("PPid:\t")[1].splitlines()[0]))
    assert [pid for pid, parent in alive if parent in (str(os.getpid()), "1")] == [], root


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
