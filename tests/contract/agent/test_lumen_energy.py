"""The demo project, as a customer meets it, and the commands that its author uses."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.agent_projects import LUMEN, Talk, engine, texts, write_project
from support.lumen_sentences import OUT_OF_SCOPE
from warmline.agent import engine_for
from warmline.agent.turn.engine import ProjectEngine
from warmline.domain.turn import HandoffRequest

TRANSFER = "No problem, I'll transfer you to one of our agents now."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lumen() -> AsyncIterator[ProjectEngine]:
    """A running engine for the demo project."""
    running = engine(LUMEN)
    await running.start()
    yield running
    await running.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_greeting_offers_suggestions(lumen: ProjectEngine) -> None:
    outcome = await Talk(lumen).start()
    assert "Lumen Energy" in texts(outcome)[0]
    assert "I want to dispute my bill" in outcome.says[0].suggestions


@pytest.mark.parametrize("text", ["I want to dispute my bill", "i'd like to dispute a charge", "My bill is wrong!"])
async def test_a_dispute_reaches_the_handoff_at_once(lumen: ProjectEngine, text: str) -> None:
    talk = Talk(lumen)
    await talk.start()
    outcome = await talk.say(text)
    assert texts(outcome) == [TRANSFER]
    assert outcome.handoff == HandoffRequest(integration="webex_integration")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("What tariffs do you have?", "24.8p"),
        ("I'm moving house next month", "moving form"),
        ("how can I pay", "direct debit"),
        ("when are you open on saturdays", "Saturday"),
    ],
)
async def test_questions_are_answered(lumen: ProjectEngine, text: str, part: str) -> None:
    assert part in texts(await Talk(lumen).say(text))[0]


async def test_an_outage_is_looked_up_by_postcode(lumen: ProjectEngine) -> None:
    talk = Talk(lumen)
    assert "postcode" in texts(await talk.say("My power is out"))[0]
    outcome = await talk.say("LS6 3AB")
    assert "storm damage" in texts(outcome)[0]
    assert outcome.says[0].attachments[0].call_to_action == "Open the map"
    assert outcome.says[0].suggestions
    assert "I see no power cut" in texts(await talk.say("is there an outage in ZZ1 1ZZ"))[0]


async def test_an_offer_is_taken_up_or_declined(lumen: ProjectEngine) -> None:
    talk = Talk(lumen)
    await talk.say("I want paperless billing")
    assert "next bill comes by e-mail" in texts(await talk.say("yes please"))[0]
    await talk.say("Stop sending me paper bills")
    assert texts(await talk.say("no thanks")) == ["All right, we'll keep sending your bills by post."]


async def test_a_yes_that_nobody_asked_for_is_no_consent(lumen: ProjectEngine) -> None:
    talk = Talk(lumen)
    await talk.say("What tariffs do you have?")
    assert (await talk.say("yes")).calls == ()


async def test_another_question_drops_the_offer(lumen: ProjectEngine) -> None:
    talk = Talk(lumen)
    await talk.say("I want paperless billing")
    assert "24.8p" in texts(await talk.say("what tariffs do you have?"))[0]
    assert (await talk.say("yes")).calls == ()


async def test_a_number_is_asked_for_after_consent(lumen: ProjectEngine) -> None:
    talk = Talk(lumen)
    await talk.say("I'd like to give you a reading")
    assert "reading" in texts(await talk.say("ok"))[0]
    assert "45,210" in texts(await talk.say("45210"))[0]


@pytest.mark.parametrize("text", ["human", "can I speak to somebody please", "put me through to a person"])
async def test_a_wish_for_a_human_is_heard_even_in_the_middle_of_a_question(lumen: ProjectEngine, text: str) -> None:
    talk = Talk(lumen)
    await talk.say("My power is out")
    wanted = HandoffRequest(integration="webex_integration", reason="wants to speak to a person")
    assert (await talk.say(text)).handoff == wanted


async def test_two_close_topics_are_told_apart_by_asking(lumen: ProjectEngine) -> None:
    talk = Talk(lumen)
    outcome = await talk.say("the bill is incorrect")
    assert texts(outcome) == ["Which of these do you mean?"]
    assert set(outcome.says[0].suggestions) == {"Dispute a bill", "Understanding your bill"}
    assert texts(await talk.say("Dispute a bill")) == [TRANSFER]


@pytest.mark.parametrize(("answer", "place"), [("the first one", 0), ("2", 1), ("Second, please", 1)])
async def test_by_text_the_choice_is_read_and_answered_by_its_place(
    lumen: ProjectEngine, answer: str, place: int
) -> None:
    talk = Talk(lumen, channel="sms.twilio")
    question, *choices = texts(await talk.say("the bill is incorrect"))[0].splitlines()
    assert question == "Which of these do you mean?"
    assert set(choices) == {"Dispute a bill", "Understanding your bill"}
    outcome = await talk.say(answer)
    assert (outcome.topic or "").replace("_", " ").lower() == choices[place].lower()


async def test_nothing_known_gives_the_projects_own_sentence(lumen: ProjectEngine) -> None:
    said = [texts(await Talk(lumen).say(text))[0] for text in OUT_OF_SCOPE[:15]]
    assert sum("I don't have information about that" in text for text in said) >= 13


async def test_turns_are_fast(lumen: ProjectEngine) -> None:
    async def typical(text: str) -> float:
        taken = []
        for number in range(30):
            talk = Talk(lumen, f"s{number}")
            # Of this thread's own time: what else the machine does says nothing about the turn.
            started = time.thread_time()
            await talk.say(text)
            taken.append(time.thread_time() - started)
        return sorted(taken)[15]

    assert await typical("how much is a unit of power") < 0.003
    assert await typical("I want to dispute my bill") < 0.015


async def test_engine_for_refuses_an_unknown_brain() -> None:
    with pytest.raises(ValueError, match="no brain called 'magic'"):
        engine_for(LUMEN, brain="magic")


def command(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "warmline", *arguments]
    return subprocess.run(program, input=text, capture_output=True, text=True, timeout=60, check=False)


async def test_warmline_check() -> None:
    done = command("check", str(LUMEN))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("0 errors, 0 warnings.")


async def test_warmline_check_exits_with_1_on_errors(tmp_path: Path) -> None:
    write_project(tmp_path, {"topics/a.yaml": "name: a\nactions: Call {{fn:gone}}.\nexample_queries: [what]\n"})
    done = command("check", str(tmp_path))
    assert done.returncode == 1
    assert "topics/a.yaml:2: dangling-reference: There is no function `gone`." in done.stdout


async def test_warmline_chat() -> None:
    done = command("chat", str(LUMEN), "--trace", text="I want to dispute my bill\n")
    assert done.returncode == 0, done.stderr
    assert TRANSFER in done.stdout
    assert "handoff to webex_integration" in done.stdout
    assert "dispute_bill()" in done.stdout
