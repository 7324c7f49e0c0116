"""`warmline erase`."""

from warmline.bus.memory import MemoryBus
from warmline.cli.installation import opened
from warmline.config import Settings
from warmline.conversation.service import Conversations
from warmline.domain import commands as c
from warmline.domain.turn import HandoffRequest, TurnKind, TurnOutcome
from warmline.ports import Connector, LineState, SessionInfo

from .conftest import Command

NUMBER = "+15550123"


async def talked(settings: Settings, *, number: str = "", subject: str = "program", handed_over: bool = False) -> str:
    """A conversation of that customer; returns its id."""
    async with opened(settings) as i:
        talk = Conversations(i.store, MemoryBus(), i.clock, i.ids)
        info = SessionInfo(connector_id="c", project_id="p", subject=subject, caller_number=number)
        session_id = await talk.start(info)
        await talk.join(session_id, Connector(id="c", token="t", project_id="p", host=""))
        if handed_over:
            plan = c.HandoffPlan(handoff_id=f"h-{session_id}", connection_id="x", provider="webex", queue_timeout_s=60)
            outcome = TurnOutcome(handoff=HandoffRequest(integration="webex_integration"))
            now = i.clock.now()
            turn = c.ApplyTurn(at=now, kind=TurnKind.START, outcome=outcome, message_ids=(), plan=plan)
            await talk.apply(session_id, turn)
        return session_id


async def stored(settings: Settings, *sessions: str) -> list[bool]:
    async with opened(settings, reading=True) as i:
        return [await i.store.session(session_id) is not None for session_id in sessions]


async def test_a_customer_is_erased_by_number(warmline: Command, settings: Settings) -> None:
    first, second = await talked(settings, number=NUMBER), await talked(settings, number=NUMBER)
    other = await talked(settings, number="+15550199")
    async with opened(settings) as i:
        await i.store.take_line("sms", "+15550100", NUMBER, session_id=first, instead_of="", at=1)
        await i.store.set_opted_out("sms", "+15550100", NUMBER, opted_out=True, at=1)
        await i.store.save_customer_memory("p", NUMBER, b"{}", 1)
    asked = await warmline("erase", NUMBER, given="n\n")
    assert asked.exit_code == 1
    assert "2 conversations are this customer's, 2 of them still running." in asked.output
    done = await warmline("erase", NUMBER, given="y\n")
    assert done.exit_code == 0, done.output
    assert "2 conversations are deleted" in done.output
    assert await stored(settings, first, second, other) == [False, False, True]
    async with opened(settings, reading=True) as i:
        (entry,) = await i.store.audit()
        assert await i.store.line("sms", "+15550100", NUMBER) == LineState()
        assert await i.store.customer_memory("p", NUMBER) is None
    assert (entry.user_name, entry.act, entry.subject) == ("warmline erase", "customer_erased", "2")


async def test_a_session_leads_to_its_customer_unless_a_program_began_it(warmline: Command, settings: Settings) -> None:
    identity = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    first, second = await talked(settings, subject=identity), await talked(settings, subject=identity)
    third, fourth = await talked(settings), await talked(settings)
    assert (await warmline("erase", first, "--yes")).exit_code == 0
    assert (await warmline("erase", third, "--yes")).exit_code == 0
    assert await stored(settings, first, second, third, fourth) == [False, False, False, True]
    nothing = await warmline("erase", "program", "--yes")
    assert "nothing is stored" in str(nothing.exception)
    assert await stored(settings, fourth) == [True]


async def test_a_contact_centre_is_not_left_with_an_open_conversation(warmline: Command, settings: Settings) -> None:
    session_id = await talked(settings, handed_over=True)
    refused = await warmline("erase", session_id, "--yes")
    assert "no server runs that could end them there" in str(refused.exception)
    assert await stored(settings, session_id) == [True]
    done = await warmline("erase", session_id, "--yes", "--anyway")
    assert "1 could not be closed at the contact centre" in done.output
    assert await stored(settings, session_id) == [False]
