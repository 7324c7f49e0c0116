"""Changed files count from the next turn on."""

import asyncio
from pathlib import Path

from support.agent_projects import Talk, calling, engine, function_file, rules, texts, topic_file, write_project
from support.messaging import until


async def changed() -> None:
    await asyncio.sleep(0.3)


async def test_a_changed_topic_and_a_changed_function_count_at_once(tmp_path: Path) -> None:
    files = {
        **calling(("tell", 'conv.state.seen = "yes"\nreturn {"utterance": "old"}')),
        "topics/a.yaml": topic_file("a", "what is alpha", content="Old."),
    }
    running = engine(write_project(tmp_path, files), watch=True)
    talk = Talk(running)
    await talk.start()
    assert texts(await talk.say("what is alpha")) == ["Old."]
    assert texts(await talk.say("please run tell now")) == ["old"]
    await changed()
    body = 'return {"utterance": f"new {conv.state.seen}"}'
    write_project(
        tmp_path,
        {
            "functions/tell.py": function_file("tell", body),
            "topics/a.yaml": topic_file("a", "what is alpha", content="New."),
        },
    )
    assert texts(await talk.say("what is alpha")) == ["New."]
    assert texts(await talk.say("please run tell now")) == ["new yes"]
    await running.close()


async def test_a_broken_change_disables_that_part_only(tmp_path: Path) -> None:
    files = {
        "topics/a.yaml": topic_file("a", "what is alpha", content="Alpha."),
        "topics/b.yaml": topic_file("b", "how does beta work", content="Beta."),
    }
    running = engine(write_project(tmp_path, files), watch=True)
    talk = Talk(running)
    await talk.start()
    await changed()
    write_project(tmp_path, {"topics/a.yaml": "name: [broken\n"})
    assert texts(await talk.say("how does beta work")) == ["Beta."]
    assert [(f.rule, f.file) for f in running.findings] == [("yaml-syntax", "topics/a.yaml")]
    await changed()
    write_project(tmp_path, {"topics/a.yaml": topic_file("a", "what is alpha", content="Alpha again.")})
    assert texts(await talk.say("what is alpha")) == ["Alpha again."]
    assert running.findings == ()
    await running.close()


async def test_a_project_that_disappears_for_a_moment_goes_on(tmp_path: Path) -> None:
    running = engine(
        write_project(tmp_path, {"topics/a.yaml": topic_file("a", "what is alpha", content="A.")}), watch=True
    )
    talk = Talk(running)
    await talk.start()
    await changed()
    (tmp_path / "project.yaml").unlink()
    assert texts(await talk.say("what is alpha")) == ["A."]
    await running.close()


async def test_a_running_turn_ends_on_the_version_it_began_with(tmp_path: Path) -> None:
    begun, rest = tmp_path / "begun", tmp_path / "rest"
    body = (
        "import time\nfrom pathlib import Path\n"
        f"Path({str(begun)!r}).touch()\nwhile not Path({str(rest)!r}).exists():\n    time.sleep(0.02)\n"
        'return {"utterance": "old"}'
    )
    running = engine(write_project(tmp_path / "project", calling(("slow", body))), watch=True)
    await running.start()
    turn = asyncio.create_task(Talk(running, "one").say("please run slow now"))
    await until(begun.exists)
    await changed()
    write_project(tmp_path / "project", {"functions/slow.py": function_file("slow", 'return {"utterance": "new"}')})
    assert texts(await Talk(running, "two").say("please run slow now")) == ["new"]
    rest.touch()
    assert texts(await turn) == ["old"]
    await running.close()


async def test_without_watching_files_are_read_once(tmp_path: Path) -> None:
    running = engine(write_project(tmp_path, {"topics/a.yaml": topic_file("a", "what is alpha", content="Old.")}))
    talk = Talk(running)
    await talk.start()
    write_project(tmp_path, {"topics/a.yaml": topic_file("a", "what is alpha", content="New.")})
    await changed()
    outcome = await talk.say("what is alpha")
    assert (texts(outcome), rules(outcome)) == (["Old."], [])
    await running.close()
