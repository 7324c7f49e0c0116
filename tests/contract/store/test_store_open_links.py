"""Which conversations of contact centres a restarted process must ask about (webex-byoc.md §17, race 22)."""

from warmline.bus.memory import MemoryBus
from warmline.conversation.service import Conversations
from warmline.ports import Link, SessionInfo, Store
from warmline.system import SystemClock, SystemIds

INFO = SessionInfo(connector_id="connector", project_id="project", subject="user")


async def test_A81_the_links_of_sessions_that_go_on_are_open(store: Store) -> None:
    conversations = Conversations(store, MemoryBus(), SystemClock(), SystemIds())
    goes_on, over = [await conversations.start(INFO) for _ in range(2)]
    links = [
        Link(handoff_id=f"h-{session}", session_id=session, connection_id="c", remote_id=f"r-{session}", data={"n": 1})
        for session in (goes_on, over)
    ]
    for link in links:
        await store.save_link(link)
    await conversations.end_by_user(over)
    assert await store.open_links() == links[:1]
