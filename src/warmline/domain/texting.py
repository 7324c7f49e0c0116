"""SMS: which of a session's events go out as texts, and in which words. Pure.

Sources: messaging-protocol.md §17, webex-byoc.md §12.3 (the SMS column), agent-project.md §8.6.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from warmline.domain import events as e
from warmline.domain.effects import SendText
from warmline.domain.line import Line
from warmline.domain.messages import Attachment, AttachmentKind, CallAction

MAX_CHARS = 1600
"""Longest body of one message at the carrier, in characters (messaging-protocol.md §17.6)."""

IDLE = "idle"
"""Kind of the timer that looks after a session nobody is at."""

SENTENCES: Mapping[str, str] = {
    "queued": "You're in the queue.",
    "joined": "You're now chatting with {name}.",
    "ended": "This chat has ended.",
    "returned": "This chat has ended. You're back with our virtual assistant.",
    "inactive": "Are you still there? Without an answer this conversation ends in {minutes} minutes.",
    "closed": "This conversation has ended because we did not hear from you. Write to us to start a new one.",
    "stopped": "You have been unsubscribed and will get no more messages. Reply START to rejoin.",
    "started": "You are subscribed again. Reply HELP for help, STOP to unsubscribe.",
    "help": "Reply STOP to unsubscribe, START to rejoin. Message and data rates may apply.",
    "too_fast": "You are writing faster than we can read: your last message was not read. Please wait a minute.",
    "repeated": "You sent the same message several times. Please wait ten minutes before you write again.",
}
"""What Warmline itself says by text, by key: each can be changed, "" is silence (webex-byoc.md §12.3)."""

UNNAMED_AGENT = "an agent"


def sentence(line: Line, key: str, **values: object) -> str:
    """The line's wording of a sentence; `values` fill its blanks."""
    text = line.sentences.get(key, SENTENCES[key])
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def texts(line: Line, events: Sequence[e.Event], *, queue_told: bool) -> tuple[SendText, ...]:
    """The messages that tell `events` to the customer, in order. Several utterances of a turn become one.

    `queue_told`: the customer has been told before that they wait.
    """
    out: list[SendText] = []
    spoken: list[_Words] = []
    for event in events:
        if isinstance(event, e.VirtualAgentMessage):
            spoken.append(_words(line, event.text, event.attachments, event.call_actions))
            continue
        out.extend(_said(line, spoken))
        spoken = []
        out.extend(_said(line, [_form(line, event, events, queue_told=queue_told)]))
        queue_told = queue_told or isinstance(event, e.QueueStatusChanged)
    out.extend(_said(line, spoken))
    return tuple(out)


def send(line: Line, text: str, *, media: tuple[str, ...] = (), always: bool = False) -> tuple[SendText, ...]:
    """`text` as messages that the carrier takes; `always`: also to a customer who has unsubscribed."""
    pieces = split(text.strip())
    if not pieces and media:
        pieces = [""]
    first = SendText(
        connection_id=line.connection_id, number=line.number, customer=line.customer, text="", always=always
    )
    last = len(pieces) - 1
    return tuple(replace(first, text=piece, media=media if n == last else ()) for n, piece in enumerate(pieces))


def split(text: str, limit: int = MAX_CHARS) -> list[str]:
    """`text` in pieces of at most `limit` characters, at line breaks or spaces where there are some.

    Characters are counted as the carrier does, in UTF-16 code units, and none is cut in two.
    """
    pieces: list[str] = []
    rest = text
    while _units(rest) > limit:
        end = _fitting(rest, limit)
        cut = max(rest.rfind("\n", 0, end), rest.rfind(" ", 0, end))
        cut = end if cut <= end // 2 else cut
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*pieces, rest] if rest else pieces


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _fitting(text: str, limit: int) -> int:
    units = 0
    for index, character in enumerate(text):
        units += 2 if ord(character) > 0xFFFF else 1
        if units > limit:
            return index
    return len(text)


def plain(text: str) -> str:
    """Words without Markdown and HTML; the addresses of links stay (messaging-protocol.md §17.6)."""
    text = _HTML_LINK.sub(lambda m: _link(m[2], m[1]), text)
    text = _BREAK.sub("\n", text)
    text = _TAG.sub("", text)
    text = _MARKDOWN_LINK.sub(lambda m: _link(m[1], m[2]), text)
    text = _EMPHASIS.sub(r"\2", text)
    text = _CODE.sub(r"\1", text)
    text = _HEADING.sub("", text)
    return _BLANKS.sub("\n\n", html.unescape(text)).strip()


_HTML_LINK = re.compile(r"<a\b[^>]*?href=\"([^\"]*)\"[^>]*>(.*?)</a>", re.IGNORECASE | re.DOTALL)
_BREAK = re.compile(r"<br\s*/?>|</(?:p|div|li|h[1-6])>", re.IGNORECASE)
_TAG = re.compile(r"</?(?:a|b|i|u|em|strong|code|p|div|ul|ol|li|span|blockquote|h[1-6])\b[^<>]*>", re.IGNORECASE)
_MARKDOWN_LINK = re.compile(r"!?\[([^\[\]]*)\]\(([^()\s]+)\)")
_EMPHASIS = re.compile(r"(?<![\w*])(\*\*|__|\*|_)(?=[^\s*_])(.+?)(?<=[^\s*_])\1(?![\w*])")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#{1,6} +", re.MULTILINE)
_BLANKS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def _link(words: str, address: str) -> str:
    words = words.strip()
    return address if not words or words == address else f"{words}: {address}"


@dataclass(frozen=True, slots=True)
class _Words:
    text: str = ""
    media: tuple[str, ...] = field(default=())


def _said(line: Line, words: Sequence[_Words]) -> tuple[SendText, ...]:
    text = "\n".join(w.text for w in words if w.text)
    media = tuple(address for w in words for address in w.media)
    return send(line, text, media=media[:_MAX_MEDIA])


_MAX_MEDIA = 10
"""Files of one MMS."""


def _words(line: Line, text: str, attachments: Sequence[Attachment] = (), calls: Sequence[CallAction] = ()) -> _Words:
    """Cards and files as lines with their addresses; images as MMS where the number can."""
    media = tuple(a.content_url for a in attachments if line.mms and a.kind is AttachmentKind.IMAGE)
    links = [_link(a.title, a.content_url) for a in attachments if a.content_url not in media]
    dials = [_link(call.title, call.contact_number) for call in calls]
    return _Words("\n".join(part for part in (plain(text), *links, *dials) if part), media)


def _form(line: Line, event: e.Event, events: Sequence[e.Event], *, queue_told: bool) -> _Words:
    match event:
        case e.QueueStatusChanged() if not queue_told:
            return _Words(sentence(line, "queued"))
        case e.LiveAgentJoined(agent=agent):
            return _Words(sentence(line, "joined", name=agent.name or UNNAMED_AGENT))
        case e.LiveAgentMessage(text=text, attachments=attachments):
            return _words(line, text, attachments)
        case e.LiveAgentLeft(by_operator=True):
            return _Words()  # a notice says it
        case e.LiveAgentLeft():
            over = any(isinstance(other, e.SessionEnded) for other in events)
            return _Words(sentence(line, "ended" if over else "returned"))
        case e.SystemNotice(text=text):
            return _Words(plain(text))
        case e.SessionEnded(reason=e.EndReason.USER_ABANDONED):
            return _Words(sentence(line, "closed"))
        case _:
            return _Words()
