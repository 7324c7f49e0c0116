"""A session played against everything that can befall it, checked at every step (style-anchors.md §6.3).

Turns run late, twice or with any outcome; news are about the current, an old or an unknown handoff, of any time;
deadlines fire early, late or after they were replaced.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from support.session_log import SessionLog
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texts
from warmline.domain.decide import Decision, decide
from warmline.domain.effects import (
    Arm,
    CloseConversation,
    ForwardMessage,
    OpenConversation,
    ProviderEffect,
    RunTurn,
    SendBriefRest,
)
from warmline.domain.errors import SessionNotFound
from warmline.domain.handoff import HandoffState
from warmline.domain.session import Owner, PendingMessage, Session, evolve
from warmline.domain.turn import TurnKind, TurnOutcome

# --- what may happen -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    """Time goes by."""

    ms: int


@dataclass(frozen=True)
class Customer:
    """The customer does something: "join", "post", "end", "abandon" or "start"."""

    does: str


@dataclass(frozen=True)
class Turn:
    """The oldest waiting turn runs; `again` applies its outcome a second time."""

    outcome: TurnOutcome
    plan: c.HandoffPlan | None = None
    again: bool = False


@dataclass(frozen=True)
class Piece:
    """The oldest waiting turn shows a piece of its answer."""

    text: str


@dataclass(frozen=True)
class News:
    """The contact centre says something. `handoff` and `message` pick among all there were; -1 is the newest."""

    command: c.ProviderCommand
    handoff: int = -1
    message: int = -1


@dataclass(frozen=True)
class Fire:
    """One of all the deadlines that were ever armed fires, at its time or at once."""

    deadline: int
    early: bool


@dataclass(frozen=True)
class Operator:
    """An operator does something about a handoff; `handoff` and `message` pick as in `News`."""

    command: c.OperatorCommand
    handoff: int = -1
    message: int = -1


Happening = Tick | Customer | Turn | Piece | News | Fire | Operator

# --- the world -----------------------------------------------------------------------------------------------------

TERMINAL = (e.HandoffFailed, e.HandoffTimedOut, e.LiveAgentLeft)
OF_A_HANDOFF = (e.HandoffAccepted, e.QueueStatusChanged, e.LiveAgentJoined, *TERMINAL)


@dataclass
class World(SessionLog):
    """A session, its waiting turns, and everything that was ever armed, posted and triggered."""

    waiting: list[RunTurn] = field(default_factory=list)
    deadlines: list[Arm] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)
    handoffs: list[str] = field(default_factory=list)
    silent: set[int] = field(default_factory=set)
    """Sequences of messages whose turn had nothing to say."""
    told_to_open: set[str] = field(default_factory=set)

    def happen(self, happening: Happening) -> None:
        match happening:
            case Tick(ms=ms):
                self.now += ms
            case Customer(does=does):
                self._customer(does)
            case Turn():
                self._run(happening)
            case Piece(text=text):
                self._stream(text)
            case News() | Operator():
                self._news(happening)
            case Fire():
                self._fire(happening)

    def _customer(self, does: str) -> None:
        match does:
            case "join":
                self.give(c.RequestJoin(at=self.now, agent_name="Lumi"))
            case "post":
                self.posted.append(self.fresh_id())
                self.give(c.PostUserMessage(at=self.now, message_id=self.posted[-1], text="hi"))
            case "end":
                self.give(c.EndByUser(at=self.now))
            case "abandon":
                self.give(c.Abandon(at=self.now))
            case "start":
                self.give(c.StartSession(at=self.now, channel="webchat.polyai"))

    def _stream(self, text: str) -> None:
        if self.waiting and self.waiting[0].kind is TurnKind.MESSAGE:
            turn = self.waiting[0]
            command = c.StreamAnswer(
                at=self.now, kind=turn.kind, answers=turn.sequence, message_id=f"stream-{turn.sequence}", text=text
            )
            before = self.session
            self.give(command)
            assert self.session.unanswered == before.unanswered, "a piece is no answer yet"

    def _run(self, turn: Turn) -> None:
        if not self.waiting:
            return
        asked = self.waiting.pop(0)
        if not self.session.wants(asked):
            return
        plan = turn.plan and replace(turn.plan, handoff_id=f"handoff-{len(self.handoffs)}")
        if plan is not None:
            self.handoffs.append(plan.handoff_id)
        command = c.ApplyTurn(
            at=self.now,
            kind=asked.kind,
            outcome=turn.outcome,
            message_ids=tuple(self.fresh_id() for _ in turn.outcome.says),
            answers=asked.sequence,
            plan=plan,
        )
        nothing_to_say = all(say.empty for say in turn.outcome.says) and not turn.outcome.failed
        nothing_to_say = nothing_to_say and self.session.stream is None
        if nothing_to_say and not turn.outcome.handoff_error and turn.outcome.handoff is None:
            self.silent.add(asked.sequence)
        self.give(command)
        if turn.again and asked.kind is TurnKind.MESSAGE and asked.sequence not in self.silent:
            self.give(command)
            assert self.step.events == (), "an outcome counts once"

    def _news(self, given: News | Operator) -> None:
        known = self.handoffs and given.handoff < len(self.handoffs)
        command = replace(
            given.command, at=self.now, handoff_id=self.handoffs[given.handoff] if known else "no such handoff"
        )
        if isinstance(command, c.MessageConfirmed | c.MessageUndeliverable | c.RetryMessage):
            ids = [*self.posted, "no such message"]
            command = replace(command, message_id=ids[given.message % len(ids)])
        self.give(command)

    def _fire(self, fire: Fire) -> None:
        if self.deadlines:
            deadline = self.deadlines[fire.deadline % len(self.deadlines)]
            if not fire.early:
                self.now = max(self.now, deadline.due)
            self.give(c.DeadlineReached(at=self.now, handoff_id=deadline.handoff_id))

    def give(self, command: c.Command) -> None:
        """Apply and check the step."""
        before = self.session
        try:
            decision = decide(before, command)
        except SessionNotFound:
            assert before.ended
            assert isinstance(command, c.RequestJoin | c.PostUserMessage | c.EndByUser)
            return
        assert self.apply(command) == decision, "decide is a function of the session and the command"
        self.waiting.extend(effect for effect in decision.effects if isinstance(effect, RunTurn))
        self.deadlines.extend(change for change in decision.timers if isinstance(change, Arm))
        self._check_news(before, command)
        self._check_state()
        self._check_messages(before, command)
        self._check_effects(before)

    def _check_news(self, before: Session, command: c.Command) -> None:
        if isinstance(command, c.DeadlineReached) and self.step.events:
            assert before.handoff is not None
            assert 0 < before.handoff.deadline <= command.at, "not before its time"
        if isinstance(command, c.OperatorCommand):
            active = before.active_handoff
            assert (active is not None and active.id == command.handoff_id) or self.step == Decision()
        if not isinstance(command, c.ProviderCommand):
            return
        handoff = before.handoff
        if handoff is None or before.ended or command.handoff_id != handoff.id:
            assert self.step == Decision(), "news of another handoff"
        elif handoff.state is HandoffState.ENDED:
            assert all(isinstance(event, e.LiveAgentMessage) for event in self.step.events)
            assert replace(self.session, last_sequence=before.last_sequence) == before, "only last words are shown"

    def _check_state(self) -> None:
        session = self.session
        handoff = session.active_handoff
        due = handoff.deadline if handoff else 0
        assert (self.armed["handoff"].due if self.armed else 0) == due, "the timer is the session's deadline"
        if session.ended:
            assert (session.owner, handoff) == (Owner.NOBODY, None)
        elif handoff is None:
            assert session.owner is (Owner.VIRTUAL_AGENT if session.joined else Owner.NOBODY)
        else:
            live = handoff.state is HandoffState.LIVE
            assert session.owner is (Owner.LIVE_AGENT if live else Owner.QUEUE)
            assert session.unanswered == ()

    def _check_messages(self, before: Session, command: c.Command) -> None:
        """No customer message is lost: it leaves a place for one reason, and what stays is being taken care of."""
        was, now = places(before), places(self.session)
        if isinstance(command, c.PostUserMessage):
            assert command.message_id in now
        assert set(now) <= set(was) | {getattr(command, "message_id", "")}
        for message_id, (place, message) in was.items():
            there = now.get(message_id, ("gone", message))[0]
            if there != place:
                reasons = self._reasons(place, there, message)
                assert len(reasons) == 1 or (not reasons and self.session.ended), (place, there, reasons)
        for event in self.step.events:
            if isinstance(event, e.SystemNotice) and event.undelivered:
                assert was[event.undelivered][0] == "contact centre", "told about a message on its way"
        if self.session.owner is Owner.VIRTUAL_AGENT:
            to_come = {turn.sequence for turn in self.waiting if self.session.wants(turn)}
            assert {m.sequence for m in self.session.unanswered} <= to_come | self.silent
        handoff = self.session.active_handoff
        if handoff is not None:
            sent = Counter(
                f.message_id for f in self.effects if isinstance(f, ForwardMessage) and f.handoff_id == handoff.id
            )
            retried = retries(recorded.event for recorded in self.log)
            assert all(sent[m.message_id] == 1 + retried[m.message_id] for m in handoff.undelivered)
            lost = {m.message_id for m in handoff.failed}
            assert not lost & {m.message_id for m in handoff.undelivered}, "lost or on its way"
        elif self.session.handoff is not None:
            assert self.session.handoff.failed == (), "nothing can be sent again after the handoff"

    def _reasons(self, place: str, there: str, message: PendingMessage) -> list[str]:
        step = self.step
        reasons = []
        if any(0 < message.sequence <= getattr(event, "answers", 0) for event in step.events):
            reasons.append("answered")
        forwarded = any(isinstance(f, ForwardMessage) and f.message_id == message.message_id for f in step.effects)
        if place == "virtual agent" and there == "contact centre" and forwarded:
            reasons.append("forwarded")
        turn = any(isinstance(t, RunTurn) and t.sequence == message.sequence for t in step.effects)
        for event in step.events:
            match event:
                case e.MessageReceived(message_id=message.message_id):
                    reasons.append("confirmed")
                case e.SystemNotice(undelivered=message.message_id):
                    reasons.append("told")
                case e.SystemNotice(text=texts.LAST_MESSAGES_UNCERTAIN):
                    reasons.append("told that it is uncertain")
                case e.HandoffFailed() | e.HandoffTimedOut():
                    if message.message_id in event.returned and there == "virtual agent" and turn:
                        reasons.append("returned")
        return reasons

    def _check_effects(self, before: Session) -> None:
        for effect in self.step.effects:
            if isinstance(effect, OpenConversation):
                assert effect.handoff_id not in self.told_to_open, "one opening"
                self.told_to_open.add(effect.handoff_id)
                assert self.log[effect.through].event == self.one(e.HandoffTriggered), "the brief ends at the trigger"
            elif isinstance(effect, ProviderEffect):
                assert effect.handoff_id in self.told_to_open, "nothing before the opening"
                triggered = any(isinstance(event, e.HandoffTriggered) for event in self.step.events)
                assert triggered or before.active_handoff is not None, "nothing after the handoff"
            if isinstance(effect, ForwardMessage):
                assert effect.message_id in places(self.session), "what is forwarded is waited for"

    # the whole log
    def check_log(self) -> None:
        session = Session(id=self.session.id)
        for recorded in self.log:
            session = evolve(session, recorded)
        assert session == self.session, "folding the log gives the snapshot"
        assert [recorded.sequence for recorded in self.log] == list(range(1, len(self.log) + 1))
        events = [recorded.event for recorded in self.log]
        kinds = Counter(type(event) for event in events)
        assert (isinstance(events[0], e.SessionStarted), kinds[e.SessionStarted]) == (True, 1)
        assert isinstance(events[-1], e.SessionEnded) == (session.ended is not None)
        assert kinds[e.SessionEnded] == (session.ended is not None)
        ends = [t for t in self.effects if isinstance(t, RunTurn) and t.kind is TurnKind.END]
        assert len(ends) == (session.ended is not None and session.joined)
        self._check_chunks(events)
        self._check_silence(events)
        self._check_handoffs(events)

    def _check_chunks(self, events: list[e.Event]) -> None:
        """A2, A8: one stream at a time, counted from 1, complete exactly once unless the session ends before."""
        expected: tuple[str, int] | None = None
        for event in events:
            if isinstance(event, e.VirtualAgentChunk):
                assert expected in (None, (event.message_id, event.index))
                assert expected or event.index == 1
                expected = None if event.complete else (event.message_id, event.index + 1)
            elif isinstance(event, e.VirtualAgentMessage | e.HandoffTriggered):
                assert expected is None, "a stream is completed before anything else is said"
            if isinstance(event, e.VirtualAgentMessage):
                assert event.text or event.suggestions or event.call_actions, "nothing empty is shown"
        open_stream = self.session.stream
        assert expected == (open_stream and (open_stream.message_id, open_stream.pieces + 1)) or self.session.ended

    def _check_silence(self, events: list[e.Event]) -> None:
        """The virtual agent speaks only while it is there."""
        there = False
        for event in events:
            match event:
                case e.VirtualAgentJoined():
                    assert not there
                    there = True
                case e.HandoffTriggered() | e.SessionEnded() | e.SystemNotice(start_failed=True):
                    there = False
                case e.VirtualAgentMessage() | e.VirtualAgentChunk():
                    assert there

    def _check_handoffs(self, events: list[e.Event]) -> None:
        for begin, event in enumerate(events):
            if isinstance(event, e.HandoffTriggered):
                until = next(
                    (i for i in range(begin + 1, len(events)) if isinstance(events[i], e.HandoffTriggered)), len(events)
                )
                self._check_handoff(event, events[begin:until])
            elif isinstance(event, (*OF_A_HANDOFF, e.LiveAgentMessage)):
                assert any(isinstance(earlier, e.HandoffTriggered) for earlier in events[:begin])

    def _check_handoff(self, triggered: e.HandoffTriggered, events: list[e.Event]) -> None:
        kinds = [type(event) for event in events]
        assert kinds[1] is e.VirtualAgentLeft
        terminal = [i for i, kind in enumerate(kinds) if kind in TERMINAL]
        over = bool(terminal) or e.SessionEnded in kinds
        current = self.session.handoff
        assert over == (current is None or current.id != triggered.handoff_id or self.session.active_handoff is None)
        assert len(terminal) <= 1, "at most one outcome"
        assert kinds.count(e.HandoffAccepted) <= 1, "accepted once"
        accepted = kinds.index(e.HandoffAccepted) if e.HandoffAccepted in kinds else len(kinds)
        joined = kinds.index(e.LiveAgentJoined) if e.LiveAgentJoined in kinds else len(kinds)
        for index, event in enumerate(events):
            match event:
                case e.QueueStatusChanged() | e.LiveAgentJoined():
                    assert index > accepted, "nothing before the acceptance"
                    assert not terminal or index < terminal[0], "nothing after the outcome"
                case e.LiveAgentMessage():
                    assert index > (joined if event.agent else accepted), "nobody speaks before joining"
                case e.LiveAgentLeft():
                    assert index > joined
        mine = [f for f in self.effects if isinstance(f, ProviderEffect) and f.handoff_id == triggered.handoff_id]
        counts = Counter(type(effect) for effect in mine)
        assert (counts[OpenConversation], counts[SendBriefRest]) == (1, 1)
        forwarded = Counter(f.message_id for f in mine if isinstance(f, ForwardMessage))
        retried = retries(events)
        assert all(n == 1 + retried[name] for name, n in forwarded.items()), "forwarded once, unless sent again"
        ended_there = any(
            (isinstance(event, e.LiveAgentLeft) and not event.by_operator)
            or (isinstance(event, e.HandoffFailed) and event.reason == "")
            for event in events
        )
        assert counts[CloseConversation] == (over and not ended_there), "closed there, unless it ended there"
        if over:
            assert isinstance(mine[-1], CloseConversation) or ended_there


def retries(events: Iterable[e.Event]) -> Counter[str]:
    """How often each message was sent again for an operator."""
    return Counter(event.retried for event in events if isinstance(event, e.SystemNotice) and event.retried)


def places(session: Session) -> dict[str, tuple[str, PendingMessage]]:
    """Where each customer message is that somebody still has to get."""
    found = {m.message_id: ("virtual agent", m) for m in session.unanswered}
    undelivered = session.handoff.undelivered if session.handoff else ()
    assert not found.keys() & {m.message_id for m in undelivered}, "in one place only"
    return found | {m.message_id: ("contact centre", m) for m in undelivered}


def play(world: World, story: list[Happening]) -> None:
    """Let it all happen, then let the customer end it; check the log both times."""
    for happening in story:
        world.happen(happening)
    world.check_log()
    last_words = {name: place for name, place in places(world.session).items() if place[0] == "contact centre"}
    world.happen(Customer("end"))
    world.check_log()
    assert places(world.session) == last_words, "they still go out; nothing waits for the virtual agent"
