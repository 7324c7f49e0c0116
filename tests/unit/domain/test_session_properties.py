"""What holds for every session, whatever happens in whatever order (style-anchors.md §6.3, design.md §1 and §5)."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.session_log import ANA, BEN, WEBEX, in_handoff, plan_for
from support.session_world import Customer, Fire, Happening, News, Operator, Piece, Tick, Turn, World, play
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain.handoff import HandoffState
from warmline.domain.messages import CallAction, LiveAgent, Say
from warmline.domain.session import Owner
from warmline.domain.turn import TurnOutcome

# --- what may happen -----------------------------------------------------------------------------------------------

says = st.sampled_from(
    [
        Say(text="Hello."),
        Say(text="One. Two. Three."),
        Say(text=""),
        Say(text="", suggestions=("Yes", "No")),
        Say(text="Call us. Now.", call_actions=(CallAction(contact_number="+15550100"),)),
    ]
)
outcomes = st.builds(
    TurnOutcome,
    says=st.lists(says, max_size=2).map(tuple),
    handoff_error=st.sampled_from([False] * 9 + [True]),
    failed=st.sampled_from([False] * 5 + [True]),
    end=st.sampled_from([False] * 39 + [True]),
    language=st.sampled_from([None, None, None, "en-GB", "fr-CA"]),
)
plans = st.builds(
    plan_for,
    on_failure=st.sampled_from(e.OnFailure),
    return_after_live=st.booleans(),
    queue_timeout_s=st.sampled_from([0, 60, 900]),
    accept_timeout_s=st.sampled_from([30, 120]),
)
turns = st.builds(Turn, outcomes, again=st.booleans())
handing_over = st.builds(
    lambda outcome, plan, planned: Turn(replace(outcome, handoff=WEBEX), plan if planned else None),
    outcomes,
    plans,
    st.sampled_from([True] * 5 + [False]),
)
agents = st.sampled_from([ANA, BEN, LiveAgent(id="")])
about = {"at": st.just(0), "handoff_id": st.just(""), "provider_at": st.sampled_from([0, 0, 100, 200, 300, 400])}
opened = st.builds(c.ConversationOpened, **about)
queued = st.builds(c.ConversationQueued, position=st.sampled_from([None, 1, 2]), **about)
joins = st.builds(c.AgentJoined, agent=agents, **about)
leaves = st.builds(c.AgentLeft, **about)
writes = st.builds(
    c.AgentMessage, message_id=st.just("theirs"), text=st.just("Hi"), agent=st.one_of(agents, st.none()), **about
)
confirms = st.builds(c.MessageConfirmed, message_id=st.just(""), kept=st.sampled_from([None, ()]), **about)
cannot_deliver = st.builds(c.MessageUndeliverable, message_id=st.just(""), **about)
cannot_open = st.builds(c.OpenFailed, reason=st.just("refused"), **about)
ends = st.builds(c.ConversationEnded, **about)
going_on = st.one_of(opened, queued, queued, joins, joins, joins, leaves, writes, writes, confirms, cannot_deliver)
commands: st.SearchStrategy[c.ProviderCommand] = st.one_of(
    going_on, going_on, going_on, going_on, st.one_of(cannot_open, ends)
)
news = st.builds(News, commands, st.sampled_from([-1] * 8 + [0, 1, 99]), st.integers(-3, 5))
to_operate = {"at": 0, "handoff_id": ""}
operators = st.builds(
    Operator,
    st.sampled_from(
        [c.RetryMessage(message_id="", **to_operate)] * 6
        + [c.EndHandoff(**to_operate), c.ReturnToVirtualAgent(**to_operate)]
    ),
    st.sampled_from([-1] * 8 + [0, 99]),
    st.integers(-3, 5),
)
happenings: st.SearchStrategy[Happening] = st.one_of(
    st.builds(Tick, st.sampled_from([1, 1_000, 61_000])),
    st.builds(Customer, st.sampled_from(["join"] * 15 + ["post"] * 25 + ["end", "abandon", "start"])),
    st.just(Customer("post")),
    turns,
    handing_over,
    st.builds(Piece, st.sampled_from(["One. ", "Hello.", "Two. ", "Something else. "])),
    news,
    news,
    news,
    operators,
    st.builds(Fire, st.integers(-3, 5), st.sampled_from([True] * 14 + [False])),
)


# --- the properties ------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.integers(0, 2), st.lists(happenings, min_size=20, max_size=50))
def test_invariants_from_the_start_of_a_session(streaming: bool, held: int, story: list[Happening]) -> None:
    world = World()
    world.start(streaming=streaming)
    play(world, [*[Customer("post")] * held, Customer("join"), *story])


ABOUT = {"at": 0, "handoff_id": ""}
UNTIL: dict[HandoffState, list[Happening]] = {
    HandoffState.REQUESTED: [],
    HandoffState.QUEUED: [News(c.ConversationOpened(**ABOUT))],
    HandoffState.LIVE: [News(c.AgentJoined(agent=ANA, **ABOUT))],
    HandoffState.TRANSFERRING: [News(c.AgentJoined(agent=ANA, **ABOUT)), News(c.AgentLeft(**ABOUT))],
}


@pytest.mark.parametrize("state", UNTIL)
@settings(max_examples=150, deadline=None)
@given(plan=plans, story=st.lists(happenings, min_size=10, max_size=40))
def test_invariants_from_a_handoff_on(state: HandoffState, plan: c.HandoffPlan, story: list[Happening]) -> None:
    world = World()
    world.start()
    handover = (Customer("join"), Turn(TurnOutcome()), Customer("post"), Turn(TurnOutcome(handoff=WEBEX), plan))
    for happening in (*handover, *UNTIL[state], Customer("post")):
        world.happen(happening)
    assert world.handoff.state is state
    play(world, story)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_order_and_any_repetition_of_one_conversations_news(data: st.DataObject) -> None:
    sent = [
        News(c.ConversationOpened(at=0, handoff_id="", provider_at=100)),
        News(c.ConversationQueued(at=0, handoff_id="", provider_at=110)),
        News(c.AgentJoined(at=0, handoff_id="", provider_at=200, agent=ANA)),
        News(c.MessageConfirmed(at=0, handoff_id="", message_id=""), message=1),
        News(c.AgentMessage(at=0, handoff_id="", provider_at=210, message_id="a", text="Hi", agent=ANA)),
        News(c.ConversationQueued(at=0, handoff_id="", provider_at=300)),
        News(c.AgentJoined(at=0, handoff_id="", provider_at=400, agent=BEN)),
        News(c.AgentMessage(at=0, handoff_id="", provider_at=410, message_id="b", text="Hi", agent=BEN)),
        News(c.ConversationEnded(at=0, handoff_id="", provider_at=500)),
    ]
    repeated = data.draw(st.lists(st.sampled_from(sent), max_size=6))
    story: list[Happening] = list(data.draw(st.permutations([*sent, *repeated])))
    world = World()
    world.start()
    opening = (Customer("join"), Turn(TurnOutcome()), Customer("post"), Turn(TurnOutcome(handoff=WEBEX), plan_for()))
    for happening in (*opening, Customer("post")):
        world.happen(happening)
    play(world, story)
    outcomes = [name for name in world.shown() if name in ("LIVE_AGENT_LEFT", "HANDOFF_FAILED")]
    assert len(outcomes) == 1


LIFECYCLE = [("queued", 100), ("joined", 200), ("queued", 300), ("joined", 400), ("queued", 500)]


@pytest.mark.parametrize("count", range(1, len(LIFECYCLE) + 1))
def test_the_newest_lifecycle_news_decide_who_owns_the_session(count: int) -> None:
    for order in permutations(LIFECYCLE[:count]):
        log = in_handoff(HandoffState.QUEUED)
        for kind, at in order:
            if kind == "queued":
                log.queued(at=at, position=at)
            else:
                log.agent_joins(ANA if at == 200 else BEN, at=at)
        newest = LIFECYCLE[count - 1][0]
        assert log.session.owner is (Owner.QUEUE if newest == "queued" else Owner.LIVE_AGENT), order
