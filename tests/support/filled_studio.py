"""A Studio with one of everything in it, and its routes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from support.evil import ADDRESS, EVIL, evil_talk
from warmline.app import Server
from warmline.channels.sms import setup
from warmline.emulators.sms import SmsSettings, demo_values
from warmline.ports import (
    HOUR_MS,
    TEST_CHAT,
    ApiKey,
    AuditEntry,
    Connection,
    Connector,
    Leg,
    Receiver,
    RelayCount,
    Role,
    User,
)
from warmline.studio.guard import needed_role


@dataclass
class Filled:
    """A server and the ids of what was put there, by the placeholders of the routes."""

    server: Server
    ids: Mapping[str, str] = field(default_factory=dict)
    test_chat: str = ""


async def fill(server: Server, project_id: str) -> Filled:
    """Make one of everything that has pages in a project; every name and text in it is evil."""
    store, now = server.store, server.clock.now()
    await store.save_connection(
        Connection(
            id="in-filled",
            provider="webex",
            name=EVIL,
            project_id=project_id,
            values={"asset_webhook_url": ADDRESS, "queue_name": EVIL, "region": EVIL},
            state="misconfigured",
            state_reason=EVIL,
            created_at=1,
        )
    )
    numbers = demo_values(SmsSettings(), "http://localhost:1")
    text = await setup.save(store, server.clock, server.ids, project_id, numbers, EVIL, relaxed=True)
    await store.save_connection(replace(text, state="misconfigured", state_reason=EVIL))
    server.sms.connections.forget()
    receiver = Receiver(id="receiver", name=EVIL, url=f"https://example.com/{EVIL}", kinds=(EVIL,), created_at=1)
    await store.save_receiver(receiver)
    await store.save_connector(
        Connector(
            id="web-filled",
            token="token-filled",
            project_id=project_id,
            host=EVIL,
            variant=EVIL,
            agent_name=EVIL,
            settings={"widget": {"header_text": EVIL, "agent_image_url": ADDRESS}},
        )
    )
    assert await store.add_user(User(id="evil", name=EVIL, role=Role.VIEWER, password="x"))
    await store.add_api_key(ApiKey(id="0" * 64, name=EVIL, project_id=project_id, created_at=1))
    hour = now // HOUR_MS
    counts = [RelayCount(connection_id="in-filled", hour=hour, leg=leg, bucket=29, messages=9) for leg in Leg]
    await store.add_relay_counts(counts)
    entry = AuditEntry(at=now, user_id="x", user_name=EVIL, act="connector_made", subject=EVIL, project_id=project_id)
    await store.record(entry)
    session = await evil_talk(server, project_id)
    chat = await evil_talk(server, project_id, connector_id=TEST_CHAT)
    row = next(row.id for row, dead in await store.deliveries(session) if dead)
    ids = {"session": session, "connection": "in-filled", "connector": "web-filled", "row": str(row), "message": "m1"}
    ids |= {"text": text.id, "receiver": "receiver", "number": "all", "user": "evil"}
    return Filled(server, ids, chat)


def routes(server: Server) -> list[tuple[str, str, Role | None]]:
    """Method, path with its placeholders, and the role it needs, of every route below /studio/."""
    studio = server.studio.application
    found = []
    for route in studio.router.routes():
        assert route.resource is not None
        if route.method != "HEAD":
            found.append((route.method, route.resource.canonical, needed_role(studio, route.handler)))
    return found


def blanks(path: str) -> list[str]:
    """The names of a path's placeholders."""
    return re.findall(r"\{(\w+)[^}]*\}", path)


def filled_in(path: str, filled: Filled) -> str:
    """The path to what `fill` made."""
    ids = dict(filled.ids)
    if "test-chat" in path:
        ids["session"] = filled.test_chat
    if "channels/sms" in path:
        ids["connection"] = filled.ids["text"]
    return re.sub(r"\{(\w+)[^}]*\}", lambda m: quote(ids.get(m[1], "x")), path)
