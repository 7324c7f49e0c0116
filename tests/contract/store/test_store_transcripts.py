"""Transcripts of contact centres lie beside the session, until they are here or given up (webex-byoc.md §18.3)."""

from dataclasses import replace

from support.stores import opened
from warmline.ports import Transcript

WANTED = Transcript(
    handoff_id="h1", session_id="s1", connection_id="c", remote_id="task", ended_at=1_000, next_at=61_000
)


async def test_A83_a_transcript_is_due_until_it_is_here(store_url: str) -> None:
    async with opened(store_url) as store:
        await store.save_transcript(WANTED)
        await store.save_transcript(replace(WANTED, handoff_id="h2", remote_id="other", ended_at=2_000, next_at=0))
        assert await store.transcripts_due(60_999) == []
        assert await store.transcripts_due(61_000) == [WANTED]
        here = replace(WANTED, tries=1, next_at=0, content=b"\x00{}")
        await store.save_transcript(here)
        assert await store.transcripts_due(10**15) == []
    async with opened(store_url) as store:
        assert [found.handoff_id for found in await store.transcripts("s1")] == ["h1", "h2"]
        assert (await store.transcripts("s1"))[0] == here
