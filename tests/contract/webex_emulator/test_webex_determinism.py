"""Same seed and same script, same bytes (webex-byoc.md §21.1, E-60)."""

from support.webex_lab import NOW_MS, until, webex_lab


async def play(seed: int) -> list[tuple[str, dict[str, str], bytes]]:
    """The same short script on a fresh emulator with a clock that stands still."""
    async with webex_lab(seed=seed, virtual_clock_start_ms=NOW_MS, connected=False) as lab:
        await lab.connect()
        task = lab.task(origin="ann")
        task["channelParams"]["message"] |= {"aliasId": "alias-1", "timestamp": 1_700_000_000_000}
        _, answer = await lab.api("POST", "/v2/tasks", task)
        task_id = answer["data"]["id"]
        await lab.arrived("task-message:appended", task_id)
        await lab.available("agent-1")
        await lab.control("POST", "/clock/advance", {"ms": 1500})
        await lab.agent("agent-1", "accept", taskId=task_id)
        await lab.agent("agent-1", "say", taskId=task_id, text="hello")
        await until(lambda: lab.receiver.types("/asset") != [], "outbound")
        await lab.agent("agent-1", "end", taskId=task_id)
        await lab.arrived("task:ended", task_id)
        await lab.settled()
        hooks = sorted((hook.path, hook.headers["X-WebexCC-Signature"], hook.raw) for hook in lab.receiver.hooks)
        return [(path, {"signature": signature}, raw) for path, signature, raw in hooks]


async def test_E60_same_seed_and_script_give_the_same_bytes() -> None:
    first, second, other = await play(7), await play(7), await play(8)
    assert len(first) == 7
    assert first == second
    assert first != other
