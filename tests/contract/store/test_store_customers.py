"""What projects remember of their customers (agent-project.md §10, `memory`)."""

from support.stores import opened
from warmline.ports import Store


async def test_a_memory_is_kept_for_each_customer_of_each_project(store_url: str) -> None:
    async with opened(store_url) as store:
        assert await store.customer_memory("p", "+441632960001") is None
        await store.save_customer_memory("p", "+441632960001", b'{"n":1}', 1)
        await store.save_customer_memory("p", "+441632960001", b'{"n":2}', 2)
        await store.save_customer_memory("q", "+441632960001", b'{"n":3}', 3)
        await store.save_customer_memory("p", "+441632960002", b'{"n":4}', 4)
    async with opened(store_url) as store:
        assert await store.customer_memory("p", "+441632960001") == b'{"n":2}'
        assert await store.customer_memory("q", "+441632960001") == b'{"n":3}'
        assert await store.customer_memory("p", "+441632960002") == b'{"n":4}'


async def test_a_customer_can_be_forgotten_everywhere(store: Store) -> None:
    for project in ("p", "q"):
        await store.save_customer_memory(project, "+441632960001", b"{}", 1)
    await store.save_customer_memory("p", "+441632960002", b"{}", 1)
    assert await store.forget_customer("+441632960001") == 2
    assert await store.customer_memory("p", "+441632960001") is None
    assert await store.customer_memory("p", "+441632960002") == b"{}"
