"""The carrier's form fields as data (messaging-protocol.md §17.1, §17.5). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

E164 = re.compile(r"\+[1-9]\d{6,14}")
"""A telephone number in its international form."""

EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""The answer to every webhook: replies go out through the REST API, because turns take their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A file of an MMS, under the carrier's address."""

    url: str
    mime_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundText:
    """A text that a customer sent to a number of ours. `opt_out`: the carrier has answered this keyword itself."""

    sid: str
    customer: str
    number: str
    text: str = field(repr=False)
    media: tuple[Media, ...] = ()
    opt_out: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStatus:
    """News of a text that we sent."""

    sid: str
    status: str
    error: str = ""


RANKS: Mapping[str, int] = {
    "accepted": 1,
    "scheduled": 1,
    "queued": 2,
    "sending": 3,
    "sent": 4,
    "partially_delivered": 5,
    "delivered": 6,
    "undelivered": 6,
    "failed": 6,
    "canceled": 6,
    "read": 7,
}
"""How far a text has come; later news of an earlier state say nothing new."""

FAILED = frozenset({"undelivered", "failed", "canceled"})


def inbound_text(form: Mapping[str, str]) -> InboundText:
    """Read a text. Raises ValueError, naming the field."""
    sid = form.get("MessageSid") or form.get("SmsSid") or form.get("SmsMessageSid") or ""
    if not re.fullmatch(r"[A-Za-z0-9]{2,64}", sid):
        raise ValueError("MessageSid")
    for name in ("From", "To"):
        if not E164.fullmatch(form.get(name, "")) and not re.fullmatch(r"\d{3,8}", form.get(name, "")):
            raise ValueError(name)
    count = form.get("NumMedia", "0")
    if not re.fullmatch(r"\d{1,2}", count):
        raise ValueError("NumMedia")
    media = tuple(
        Media(url=form[f"MediaUrl{n}"], mime_type=form.get(f"MediaContentType{n}", ""))
        for n in range(int(count))
        if form.get(f"MediaUrl{n}")
    )
    return InboundText(
        sid=sid,
        customer=form["From"],
        number=form["To"],
        text=form.get("Body", ""),
        media=media,
        opt_out=form.get("OptOutType", "").upper(),
    )


def text_status(form: Mapping[str, str]) -> TextStatus:
    """Read news of a text. Raises ValueError, naming the field."""
    sid, status = form.get("MessageSid", ""), form.get("MessageStatus", "")
    if not re.fullmatch(r"[A-Za-z0-9]{2,64}", sid):
        raise ValueError("MessageSid")
    if status not in RANKS:
        raise ValueError("MessageStatus")
    error = form.get("ErrorCode", "")
    return TextStatus(sid=sid, status=status, error=error if re.fullmatch(r"\d{1,6}", error) else "")
