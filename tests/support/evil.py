"""A conversation in which everybody and everything writes what no page may take for its own, and a judge of pages."""

import asyncio
import html
from html.parser import HTMLParser
from typing import Any

import msgspec

from warmline.app import Server
from warmline.domain import commands as c
from warmline.domain.messages import Attachment, AttachmentKind, CallAction, LiveAgent, Say
from warmline.domain.turn import HandoffRequest, TurnKind, TurnOutcome
from warmline.ports import Connector, SessionInfo, TurnRecord
from warmline.testing.messaging_client import PATIENCE_S

EVIL = "'\"><img src=x onerror=alert(1)><script>alert(1)</script>"
ADDRESS = "javascript:alert(1)"
_FILE = Attachment(content_url=ADDRESS, title=EVIL, call_to_action=EVIL, preview_image_url=ADDRESS)
_IMAGE = Attachment(content_url=f"https://example.com/?{EVIL}", title=EVIL, kind=AttachmentKind.IMAGE)
_DATA: dict[str, Any] = {
    "topics": [{"topic": EVIL, "distance": 0.5, "nearest": EVIL}],
    "messages": [{"role": EVIL, "content": EVIL}],
    "arguments": {EVIL: EVIL},
    "options": {EVIL: [EVIL]},
    **dict.fromkeys(("name", "value", "answer", "model", "rule", "text", "file", "to", "connection", "reason"), EVIL),
    **dict.fromkeys(("from_flow", "from_step", "to_flow", "to_step", EVIL), EVIL),
}
_KINDS = ("retrieved", "prompt", "tool", "returned", "state", "moved", "said", "handoff", "text", "error")


async def evil_talk(
    server: Server, project_id: str, *, connector_id: str = "c", channel: str = "webchat.polyai"
) -> str:
    """A conversation with a live agent whose last message was given up; returns the session's id."""
    info = SessionInfo(
        connector_id=connector_id,
        project_id=project_id,
        subject=EVIL,
        platform=EVIL,
        device_type=EVIL,
        caller_number=EVIL,
        integration_attributes={EVIL: EVIL},
        context_id="page",
        environment="sandbox" if connector_id != "c" else "live",
    )
    talk, now = server.conversations, server.clock.now()
    session_id = await talk.start(info, channel=channel)
    await server.store.save_context(session_id, {EVIL: EVIL})
    await talk.join(session_id, Connector(id="c", token="t", project_id=project_id, host="", agent_name=EVIL))
    handoff_id = f"h-{session_id}"
    say = Say(text=EVIL, attachments=(_FILE, _IMAGE), call_actions=(CallAction(contact_number=EVIL, title=EVIL),))
    outcome = TurnOutcome(
        says=(say, Say(text=EVIL, suggestions=(EVIL,))), handoff=HandoffRequest(integration="webex_integration")
    )
    plan = c.HandoffPlan(
        handoff_id=handoff_id,
        connection_id="gone",
        provider=EVIL,
        queue_timeout_s=60,
        reason=EVIL,
        destination=EVIL,
        options={EVIL: EVIL},
    )
    turn = c.ApplyTurn(at=now, kind=TurnKind.START, outcome=outcome, message_ids=("a", "b"), plan=plan)
    agent = LiveAgent(id="a", name=EVIL, avatar_url=ADDRESS)
    about: dict[str, Any] = {"at": now, "handoff_id": handoff_id}
    news: tuple[c.Command, ...] = (
        c.ConversationQueued(**about, queue_name=EVIL),
        c.AgentJoined(**about, agent=agent),
        c.AgentMessage(**about, message_id="m1", text=EVIL, attachments=(_FILE, _IMAGE), agent=agent),
        c.AgentMessage(**about, message_id="m2", text=html.escape(EVIL), agent=agent),
        c.AgentMessage(**about, message_id="m3", text=EVIL),
    )
    record = TurnRecord(turn_id=f"evil {EVIL}", memory=b"", record=_record())
    first = talk.apply(session_id, turn, turn=record)
    # At once: the news must come before the opening fails.
    await asyncio.gather(first, *(talk.apply(session_id, command) for command in news))
    committed = await talk.post(session_id, EVIL, custom={EVIL: EVIL})
    event: Any = committed.events[0].event
    await talk.apply(session_id, c.MessageConfirmed(**about, message_id=event.message_id, stored_text=EVIL))
    await talk.post(session_id, EVIL)
    async with asyncio.timeout(PATIENCE_S):
        dead = await _given_up(server, session_id)
        while not dead:
            await asyncio.sleep(0.01)
            dead = await _given_up(server, session_id)
    await server.catalog.write()
    return session_id


async def _given_up(server: Server, session_id: str) -> bool:
    return any(dead for _, dead in await server.store.deliveries(session_id))


def _record() -> bytes:
    call = {"name": EVIL, "duration_ms": 1, "error": EVIL, "logs": [{"level": EVIL, "content": EVIL}]}
    return msgspec.json.encode(
        {
            "turn_id": f"evil {EVIL}",
            "kind": "message",
            "sequence": 1,
            "began": 1,
            "duration_ms": 1,
            "topic": EVIL,
            "why": EVIL,
            "failed": True,
            "calls": [call],
            "metrics": [[EVIL, EVIL]],
            "findings": [{"rule": EVIL, "text": EVIL, "file": EVIL, "line": 1}],
            "trace": [{"at_ms": 1, "kind": kind, "data": {**_DATA, "duration_ms": 1, "line": 1}} for kind in _KINDS],
        }
    )


class _Judge(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._script = tag == "script"
        self.found += [f"{tag} {name}" for name in given if name.startswith("on")]
        for name in ("href", "src", "action", "formaction"):
            if str(given.get(name, "")).strip().lower().startswith("javascript:"):
                self.found.append(f"{tag} {name}={given[name]}")
        if tag == "img" and given.get("src") == "x":
            self.found.append("img src=x")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.found.append(f"script {data[:80]}")


def harm(page: str) -> list[str]:
    """What of a page a browser would run; [] for a harmless one."""
    judge = _Judge()
    judge.feed(page)
    judge.close()
    return judge.found
