"""Fills a database with conversations that were had long ago, much faster than having them.

A thousand different logs are made from the domain's own events and folded with its own functions; the database then
multiplies them. Everything that the Studio's pages read is there. What only the writers of sessions read (which
changes a session has seen) is not.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from warmline.domain import events as e
from warmline.domain.catalog import Entry, Followed, HandoffFacts, follow
from warmline.domain.messages import LiveAgent
from warmline.domain.session import Session, evolve
from warmline.ports import SessionInfo
from warmline.store import codec

TEMPLATES = 1000
EVENTS = 20
"""Events of one conversation, on average."""
YEAR_MS = 365 * 86_400_000
_CHANNELS = (("webchat.polyai", 80), ("sms.twilio", 19), ("chat.polyai", 1))
_COMMON = [
    "the",
    "my",
    "your",
    "bill",
    "meter",
    "please",
    "account",
    "is",
    "a",
    "to",
    "and",
    "what",
    "can",
    "have",
    "for",
    "of",
    "on",
    "in",
    "help",
    "thank",
    "you",
    "energy",
    "price",
]
_REF = "@ref@"
_AGENT = LiveAgent(id="agent-1", name="Ana")

COLUMNS = {
    "sessions": ("id", "info", "snapshot", "last_sequence", "created_at", "updated_at"),
    "catalog": (
        *("session_id", "project_id", "channel", "environment", "stage", "started_at", "updated_at", "waiting_since"),
        *("ended_at", "end_reason", "messages", "last_author", "last_message_id", "last_text", "handoff"),
        *("connection_id", "sequence"),
    ),
    "handoff_facts": tuple(f.name for f in fields(HandoffFacts)),
}
"""The columns of the rows that each conversation has one of."""


@dataclass(frozen=True, slots=True)
class Template:
    """A conversation without its identity: its log with times from 0, and what became of it."""

    log: tuple[e.Recorded, ...]
    followed: Followed
    snapshot: str


class Words:
    """Sentences whose words are as unequal as those of a language (Zipf's law)."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        made = (
            "".join(chance.choice("bdfglmnprstv") + chance.choice("aeiou") for _ in range(n)) for n in (2, 3) * 4000
        )
        self._words = [*_COMMON, *dict.fromkeys(made)]
        self._weights = [1 / (rank + 2) for rank in range(len(self._words))]

    def sentence(self, length: int) -> str:
        """So many words."""
        return " ".join(self._chance.choices(self._words, self._weights, k=length)).capitalize() + "."


def templates(seed: int = 7) -> list[Template]:
    """Different conversations: most end with the virtual agent, a third is handed over, the last tenth goes on."""
    chance = random.Random(seed)
    words = Words(chance)
    return [_template(number, chance, words) for number in range(TEMPLATES)]


def _template(number: int, chance: random.Random, words: Words) -> Template:
    running = number >= TEMPLATES * 9 // 10
    events = list(_events(number, chance, words, running=running))
    log, at = [], 0
    for sequence, event in enumerate(events, 1):
        at += chance.randrange(400, 9_000)
        log.append(e.Recorded(sequence=sequence, id="", at=at, event=event))
    session = Session(id="@id@")
    for recorded in log:
        session = evolve(session, recorded)
    entry = Entry(session_id="@id@", project_id="@project@")
    return Template(tuple(log), follow(entry, log), codec.encode(session))


def _events(number: int, chance: random.Random, words: Words, *, running: bool) -> Iterator[e.Event]:
    channel = chance.choices([key for key, _ in _CHANNELS], [weight for _, weight in _CHANNELS])[0]
    handed_over = number % 3 == 0
    yield e.SessionStarted(channel=channel)
    yield e.VirtualAgentJoined(agent_name="Lumi")
    yield e.VirtualAgentMessage(message_id="m0", text="Hello, how can I help?")
    exchanges = chance.randrange(2, 5) if handed_over else chance.randrange(6, 11)
    for turn in range(exchanges):
        mark = f" {_REF}" if turn == 0 else ""
        yield e.UserMessage(message_id=f"u{turn}", text=words.sentence(chance.randrange(4, 14)) + mark)
        yield e.VirtualAgentMessage(message_id=f"v{turn}", text=words.sentence(chance.randrange(8, 24)))
    if handed_over:
        yield from _handoff(number, chance, words, running=running)
    if not running:
        yield e.SessionEnded(reason=chance.choice((e.EndReason.NATURAL_END, e.EndReason.USER_END)))


def _handoff(number: int, chance: random.Random, words: Words, *, running: bool) -> Iterator[e.Event]:
    yield e.HandoffTriggered(
        handoff_id="@id@",
        connection_id=f"connection-{number % 4}",
        provider="webex",
        queue_timeout_s=120,
        reason=chance.choice(("dispute", "moving", "complaint", "customer request")),
        destination=chance.choice(("support", "billing")),
    )
    yield e.VirtualAgentLeft()
    yield e.HandoffAccepted()
    yield e.QueueStatusChanged(queue_name="support")
    if running and chance.random() < 0.3:
        return
    if not running and chance.random() < 0.15:
        yield chance.choice((e.HandoffFailed(reason="no_agents"), e.HandoffTimedOut(reason="queue_timeout")))
        return
    yield e.LiveAgentJoined(agent=_AGENT)
    for turn in range(chance.randrange(2, 6)):
        yield e.LiveAgentMessage(message_id=f"l{turn}", text=words.sentence(chance.randrange(6, 20)), agent=_AGENT)
        yield e.UserMessage(message_id=f"a{turn}", text=words.sentence(chance.randrange(3, 12)))
    if not running:
        yield e.LiveAgentLeft(agent_id="agent-1")


@dataclass(frozen=True, slots=True)
class Conversation:
    """One of the many: whose log it has, and when it began."""

    number: int
    id: str
    template: int
    began: int

    @property
    def ref(self) -> str:
        """Words that occur once, 500 and 10,000 times in a million conversations."""
        return f"ord{self.number:07d} street{self.number % 2000} town{self.number % 100}"


def conversations(count: int, until: int, seed: int = 11) -> Iterator[Conversation]:
    """`count` conversations, evenly over the year before `until`; only the last 2,000 may still go on."""
    chance = random.Random(seed)
    over = TEMPLATES * 9 // 10
    for number in range(count):
        template = chance.randrange(TEMPLATES if number >= count - 2000 else over)
        began = until - YEAR_MS + YEAR_MS * number // count - 600_000
        yield Conversation(number, f"{chance.getrandbits(128):032x}", template, began)


def session_row(item: Conversation, template: Template, project_id: str) -> tuple[object, ...]:
    """The row of `sessions`."""
    entry = template.followed.entry
    info = codec.encode(SessionInfo(connector_id="bench", project_id=project_id, subject="bench"))
    snapshot = template.snapshot.replace("@id@", item.id).replace(_REF, item.ref)
    return item.id, info, snapshot, entry.sequence, item.began, item.began + entry.updated_at


def catalog_row(item: Conversation, template: Template, project_id: str) -> tuple[object, ...]:
    """The row of `catalog`, as `store.catalog` writes it."""
    n = template.followed.entry
    handoff = handoff_of(item, template, project_id)
    times = (_at(item, n.started_at), item.began + n.updated_at, _at(item, n.waiting_since), _at(item, n.ended_at))
    last = (n.end_reason, n.messages, n.last_author, n.last_message_id, n.last_text.replace(_REF, item.ref)[:200])
    facts = codec.encode(handoff) if handoff else ""
    connection_id = handoff.connection_id if handoff else ""
    first = (item.id, project_id, n.channel, n.environment, n.stage.value)
    return (*first, *times, *last, facts, connection_id, n.sequence)


def handoff_of(item: Conversation, template: Template, project_id: str) -> HandoffFacts | None:
    """The facts of the conversation's handoff."""
    if (facts := template.followed.entry.handoff) is None:
        return None
    names = ("requested_at", "accepted_at", "joined_at", "ended_at")
    times = {name: _at(item, getattr(facts, name)) for name in names}
    return replace(facts, id=item.id, session_id=item.id, project_id=project_id, **times)


def handoff_row(facts: HandoffFacts) -> tuple[object, ...]:
    """The row of `handoff_facts`."""
    return tuple(str(v) if isinstance(v := getattr(facts, f.name), str) else v for f in fields(HandoffFacts))


def _at(item: Conversation, offset: int) -> int:
    return item.began + offset if offset else 0


def event_rows(made: Sequence[Template]) -> Iterator[tuple[int, int, int, str, str]]:
    """Rows of the templates' logs: template, sequence, offset, type, body."""
    for number, template in enumerate(made):
        for recorded in template.log:
            yield number, recorded.sequence, recorded.at, codec.tag(recorded.event), codec.encode(recorded.event)


def spoken_rows(made: Sequence[Template]) -> Iterator[tuple[int, str, str]]:
    """Rows of the templates' texts: template, message id, text."""
    for number, template in enumerate(made):
        for spoken in template.followed.spoken:
            yield number, spoken.message_id, spoken.text


RECORD = json.dumps({"kind": "message", "duration_ms": 42, "topic": "Bills", "why": "nearest", "calls": []}).encode()
