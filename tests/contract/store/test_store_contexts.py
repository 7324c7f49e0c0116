"""What pages vouched for."""

from warmline.ports import Store


async def test_the_last_context_of_a_session_counts_as_a_whole(store: Store) -> None:
    assert await store.context("s-1") == {}
    await store.save_context("s-1", {"customer": "c-17", "vip": True, "note": None})
    await store.save_context("s-2", {"customer": "c-99"})
    await store.save_context("s-1", {"score": 3.5})
    assert await store.context("s-1") == {"score": 3.5}
