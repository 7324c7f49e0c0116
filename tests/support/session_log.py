"""A session in memory: applies commands to the pure domain and keeps everything that comes of them."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain.decide import Decision, decide
from warmline.domain.effects import Arm, Effect, RunTurn
from warmline.domain.handoff import HandoffState
from warmline.domain.messages import Attachment, LiveAgent, Say
from warmline.domain.session import Handoff, Session, evolve
from warmline.domain.turn import HandoffRequest, TurnKind, TurnOutcome

ANA = LiveAgent(id="agent-ana", name="Ana")
BEN = LiveAgent(id="agent-ben", name="Ben")
WEBEX = HandoffRequest(integration="webex_integration")
MINUTE = 60_000

SomeEvent = TypeVar("SomeEvent", bound=e.Event)
SomeEffect = TypeVar("SomeEffect", bound=Effect)


@dataclass
class SessionLog:
    """`now` is the time of the next command. `step` is what the last command came to."""

    session: Session = field(default_factory=lambda: Session(id="session"))
    log: list[e.Recorded] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    armed: dict[str, Arm] = field(default_factory=dict)
    step: Decision = field(default_factory=Decision)
    now: int = 1_000_000
    message_ids: int = 0

    def apply(self, command: c.Command) -> Decision:
        """Decide and fold, as a store does."""
        self.step = decide(self.session, command)
        for event in self.step.events:
            sequence = self.session.last_sequence + 1
            recorded = e.Recorded(sequence=sequence, id=f"event-{sequence}", at=command.at, event=event)
            self.session = evolve(self.session, recorded)
            self.log.append(recorded)
        self.effects.extend(self.step.effects)
        for change in self.step.timers:
            if isinstance(change, Arm):
                self.armed[change.kind] = change
            else:
                self.armed.pop(change.kind, None)
        return self.step

    @property
    def handoff(self) -> Handoff:
        """The current or last handoff."""
        assert self.session.handoff is not None
        return self.session.handoff

    def fresh_id(self) -> str:
        """An id for a new message."""
        self.message_ids += 1
        return f"message-{self.message_ids}"

    # the customer
    def start(self, *, streaming: bool = False) -> Decision:
        return self.apply(c.StartSession(at=self.now, channel="webchat.polyai", streaming=streaming))

    def join(self, custom: e.Custom | None = None) -> Decision:
        return self.apply(c.RequestJoin(at=self.now, agent_name="Lumi", agent_avatar_url="https://x/a", custom=custom))

    def post(
        self, text: str = "hello", custom: e.Custom | None = None, attachments: tuple[Attachment, ...] = ()
    ) -> str:
        """Returns the message's id."""
        message_id = self.fresh_id()
        self.apply(
            c.PostUserMessage(at=self.now, message_id=message_id, text=text, custom=custom, attachments=attachments)
        )
        return message_id

    def end_by_user(self) -> Decision:
        return self.apply(c.EndByUser(at=self.now))

    def abandon(self) -> Decision:
        return self.apply(c.Abandon(at=self.now))

    # the virtual agent
    def turn(
        self,
        outcome: TurnOutcome,
        *,
        kind: TurnKind = TurnKind.MESSAGE,
        answers: int | None = None,
        plan: c.HandoffPlan | None = None,
    ) -> Decision:
        """Apply a turn's outcome; it answers the oldest unanswered message unless `answers` says otherwise."""
        if answers is None:
            waiting = self.session.unanswered
            answers = waiting[0].sequence if waiting and kind is TurnKind.MESSAGE else 0
        ids = tuple(self.fresh_id() for _ in outcome.says)
        return self.apply(
            c.ApplyTurn(at=self.now, kind=kind, outcome=outcome, message_ids=ids, answers=answers, plan=plan)
        )

    def greet(self, *texts: str) -> Decision:
        return self.turn(says(*texts), kind=TurnKind.START)

    def answer(self, *texts: str) -> Decision:
        return self.turn(says(*texts))

    def trigger(self, handoff_id: str = "handoff-1", utterance: str = "", **plan: object) -> Decision:
        """The customer asks for a human, and the turn hands over."""
        self.post("a human, please")
        outcome = replace(says(utterance) if utterance else TurnOutcome(), handoff=WEBEX)
        return self.turn(outcome, answers=self.session.last_sequence, plan=plan_for(handoff_id, **plan))

    # the contact centre
    def opened(self, handoff_id: str = "", at: int = 0) -> Decision:
        return self.apply(c.ConversationOpened(at=self.now, handoff_id=handoff_id or self.handoff.id, provider_at=at))

    def queued(self, *, at: int = 0, handoff_id: str = "", **status: object) -> Decision:
        news = c.ConversationQueued(at=self.now, handoff_id=handoff_id or self.handoff.id, provider_at=at)
        return self.apply(replace(news, **status))  # type: ignore[arg-type]

    def agent_joins(self, agent: LiveAgent = ANA, at: int = 0) -> Decision:
        return self.apply(c.AgentJoined(at=self.now, handoff_id=self.handoff.id, provider_at=at, agent=agent))

    def agent_leaves(self, at: int = 0) -> Decision:
        return self.apply(c.AgentLeft(at=self.now, handoff_id=self.handoff.id, provider_at=at))

    def agent_says(self, text: str = "Hi", agent: LiveAgent | None = ANA, at: int = 0) -> Decision:
        return self.apply(
            c.AgentMessage(
                at=self.now,
                handoff_id=self.handoff.id,
                provider_at=at,
                message_id=self.fresh_id(),
                text=text,
                agent=agent,
            )
        )

    def confirms(self, message_id: str, **what: object) -> Decision:
        news = c.MessageConfirmed(at=self.now, handoff_id=self.handoff.id, message_id=message_id)
        return self.apply(replace(news, **what))  # type: ignore[arg-type]

    def undeliverable(self, message_id: str) -> Decision:
        return self.apply(c.MessageUndeliverable(at=self.now, handoff_id=self.handoff.id, message_id=message_id))

    def open_fails(self, reason: str = "CHANNEL_ASSET_UNDEFINED") -> Decision:
        return self.apply(c.OpenFailed(at=self.now, handoff_id=self.handoff.id, reason=reason))

    def provider_ends(self, reason: str = "Agent Left", at: int = 0) -> Decision:
        return self.apply(c.ConversationEnded(at=self.now, handoff_id=self.handoff.id, reason=reason, provider_at=at))

    def deadline(self, *, late_by: int = 0) -> Decision:
        """The armed deadline fires."""
        self.now = self.armed["handoff"].due + late_by
        return self.apply(c.DeadlineReached(at=self.now, handoff_id=self.handoff.id))

    # an operator
    def operator(self, kind: type[c.EndHandoff | c.ReturnToVirtualAgent]) -> Decision:
        return self.apply(kind(at=self.now, handoff_id=self.handoff.id))

    def retry(self, message_id: str) -> Decision:
        return self.apply(c.RetryMessage(at=self.now, handoff_id=self.handoff.id, message_id=message_id))

    # looking at what came of it
    def wire(self) -> list[str]:
        """Names of the last step's events on the customer's wire."""
        return [WIRE[type(event)] for event in self.step.events]

    def shown(self) -> list[str]:
        """Names of all events so far."""
        return [WIRE[type(recorded.event)] for recorded in self.log]

    def one(self, kind: type[SomeEvent]) -> SomeEvent:
        """The last step's only event of that kind."""
        (event,) = (event for event in self.step.events if isinstance(event, kind))
        return event

    def effect(self, kind: type[SomeEffect]) -> SomeEffect:
        """The last step's only effect of that kind."""
        (effect,) = (effect for effect in self.step.effects if isinstance(effect, kind))
        return effect

    def turns(self) -> list[RunTurn]:
        """Turns asked for by the last step."""
        return [effect for effect in self.step.effects if isinstance(effect, RunTurn)]


WIRE: dict[type[e.Event], str] = {
    e.SessionStarted: "SESSION_START",
    e.JoinRequested: "REQUEST_POLY_AGENT_JOIN",
    e.VirtualAgentJoined: "POLY_AGENT_JOINED",
    e.UserMessage: "USER_MESSAGE",
    e.VirtualAgentMessage: "POLY_AGENT_MESSAGE",
    e.VirtualAgentChunk: "POLY_AGENT_MESSAGE_CHUNK",
    e.HandoffTriggered: "POLY_AGENT_TRIGGERED_HANDOFF",
    e.VirtualAgentLeft: "POLY_AGENT_LEFT",
    e.HandoffAccepted: "HANDOFF_ACCEPTED",
    e.QueueStatusChanged: "HANDOFF_QUEUE_STATUS",
    e.LiveAgentJoined: "LIVE_AGENT_JOINED",
    e.LiveAgentMessage: "LIVE_AGENT_MESSAGE",
    e.MessageReceived: "LIVE_AGENT_RECEIVED_MESSAGE",
    e.LiveAgentLeft: "LIVE_AGENT_LEFT",
    e.HandoffFailed: "HANDOFF_FAILED",
    e.HandoffTimedOut: "HANDOFF_TIMEOUT",
    e.SystemNotice: "SYSTEM_MESSAGE",
    e.LanguageChanged: "LANGUAGE_CHANGED",
    e.UserEndRequested: "USER_END_SESSION",
    e.SessionEnded: "SESSION_END",
}


def says(*texts: str) -> TurnOutcome:
    """A turn that says these texts."""
    return TurnOutcome(says=tuple(Say(text=text) for text in texts))


def plan_for(handoff_id: str = "handoff-1", **changes: object) -> c.HandoffPlan:
    """A handoff over the Webex connection."""
    plan = c.HandoffPlan(handoff_id=handoff_id, connection_id="webex-1", provider="webex", queue_timeout_s=900)
    return replace(plan, **changes)  # type: ignore[arg-type]


def started(*, streaming: bool = False) -> SessionLog:
    """A session that has begun."""
    log = SessionLog()
    log.start(streaming=streaming)
    return log


def joined(*, streaming: bool = False) -> SessionLog:
    """A session with the virtual agent."""
    log = started(streaming=streaming)
    log.join()
    log.greet("Hello, I'm Lumi.")
    return log


def in_handoff(state: HandoffState, **plan: object) -> SessionLog:
    """A session whose handoff is in `state`."""
    log = joined()
    log.trigger(**plan)
    match state:
        case HandoffState.QUEUED:
            log.opened()
        case HandoffState.LIVE:
            log.agent_joins()
        case HandoffState.TRANSFERRING:
            log.agent_joins()
            log.agent_leaves()
        case HandoffState.ENDED:
            log.open_fails()
        case HandoffState.REQUESTED:
            pass
    assert log.handoff.state is state
    return log
