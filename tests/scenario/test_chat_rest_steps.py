"""The five verify steps over the chat REST API (messaging-protocol.md §16; webex-byoc.md A-87's steps)."""

import re

from support.chat_rest import ChatCaller
from support.desk import Desk
from support.installation import DISPUTE, TOKEN, TRANSFER, emulator, installation
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemClock, SystemIds
from warmline.testing.server import SECRET_KEY
from warmline.web.keys import ApiKeys


async def test_S2_topic_handoff_reply_and_end_from_the_desktop(tmp_path: object) -> None:
    database = f"sqlite:///{tmp_path}/warmline.db"
    key = await new_key(database)
    async with emulator() as sim, installation(database, sim) as server:
        async with Desk(sim.url) as desk, ChatCaller(server.url, key, TOKEN) as caller:
            await desk.ready()
            begun = await caller.create()
            assert re.search(r"\w", begun["response"])

            answered = await caller.respond(DISPUTE)
            assert answered["response"] == TRANSFER
            assert answered["end_conversation"] is True
            assert set(answered["handoff"]) == {"destination", "reason"}
            task_id = await desk.take()
            joined = await caller.until("LIVE_AGENT_JOINED")
            assert joined["payload"]["agent"]["id"]
            brief = (await desk.task(task_id))["transcript"][0]["text"]
            assert DISPUTE in brief

            await desk.say(task_id, "Hello, I am here to help.")
            said = await caller.until("LIVE_AGENT_MESSAGE")
            assert said["payload"]["text"] == "Hello, I am here to help."
            after = caller.last
            await caller.respond("It is the March bill.")
            await caller.respond("It is far too high.")
            await desk.until_heard(task_id, ["It is the March bill.", "It is far too high."])

            caller.last = after
            await desk.end(task_id)
            ended = await caller.until("SESSION_END")
            assert ended["payload"]["reason"] == "REASON_NATURAL_END"
            body = {"conversation_id": caller.conversation_id, "message": "hello?"}
            status, refusal = await caller.call("POST", "respond", body)
            assert (status, refusal["error_code"]) == (410, "CHAT_CONVERSATION_ENDED")


async def new_key(database: str) -> str:
    """What `warmline key add` does, before the server runs."""
    store = open_store(database, SystemIds(), AesSecretBox(SECRET_KEY))
    await store.start()
    secret = await ApiKeys(store, SystemClock(), SystemIds()).make("tests")
    await store.close()
    assert secret is not None
    return secret
