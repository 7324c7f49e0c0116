"""Opens the conversation over there, exactly once as far as anybody can (handler of `OpenConversation`)."""

import contextlib
from dataclasses import replace
from functools import partial

import structlog

from warmline.delivery.backoff import until_stored
from warmline.delivery.cache import Cache
from warmline.delivery.handoffs import Tools
from warmline.delivery.links import BriefOf, Progress, Refusal, part_id, progress, with_progress
from warmline.delivery.recovery import Adopt, CloseIt, Conflicts, Join, TryAgain, Wait
from warmline.delivery.views import handoff_in
from warmline.domain.commands import ConversationOpened, OpenFailed
from warmline.domain.effects import OpenConversation
from warmline.domain.handoff import HandoffState
from warmline.handoff.contract import (
    ClaimsConversations,
    ContentRefused,
    OpenRequest,
    OpenResult,
    Provider,
    ProviderAuthFailed,
    ProviderError,
    ProviderRejected,
)
from warmline.ports import (
    Done,
    GiveUp,
    Link,
    OutboxRow,
    Outcome,
    Retry,
    Settlement,
    Store,
    StoredSession,
    Waiting,
    seconds_until,
)

_log = structlog.get_logger(__name__)

_UNCERTAIN = "uncertain/"
"""Marks in a row's last error that some attempt may have opened a conversation that we do not know."""

_IN_FLIGHT = _UNCERTAIN + "in_flight"

_SHORTEN = "content_refused"
"""The last error of a row whose next attempt gets a brief half as long (webex-byoc.md §15.3)."""

_LOOKED = 500
"""For so many requests it is remembered at which webhooks they have looked."""

_CONFLICTS = 2
"""So often it is tried again after an older conversation was in the way."""


class Opening:
    """Stays in flight until the contact centre has proved that it has the conversation, or never will.

    So everything behind it in the stream waits. Before each attempt the row is marked as uncertain: after a
    crash the next one looks for news of a conversation that came about (webex-byoc.md §15.3).
    """

    def __init__(self, tools: Tools, store: Store) -> None:
        self._tools = tools
        self._store = store
        self._conflicts = Conflicts(tools.links, tools.views, tools.clock)
        self._looked: Cache[str, set[int]] = Cache(_LOOKED)
        """The webhooks that do not show what a request opened, by the id of its message."""

    async def __call__(self, row: OutboxRow, settlement: Settlement) -> Outcome:
        """Do what is next for this handoff."""
        tools, effect = self._tools, row.effect
        assert isinstance(effect, OpenConversation)
        stored = await tools.conversations.session(row.session_id)
        link = await tools.links.get(effect.handoff_id)
        handoff = None if stored is None else handoff_in(stored.session, effect.handoff_id)
        if stored is None or handoff is None:
            return await self._over(row, effect, stored, link)
        if handoff.state is not HandoffState.REQUESTED:
            return Done()
        if link is None:
            return await self._attempt(row, effect, settlement, stored, Progress(), row.created_at)
        done = progress(link)
        if done.refused is None:
            return Waiting(tools.settings.recheck_s)
        return await self._refused(row, effect, settlement, stored, link, done.refused)

    async def _over(
        self, row: OutboxRow, effect: OpenConversation, stored: StoredSession | None, link: Link | None
    ) -> Outcome:
        """Nobody waits for it any more; but one that came about must be found, to be closed.

        The next handoff of the session waits no longer for that than the next attempt of this one would have.
        """
        error = row.last_error.removeprefix(_UNCERTAIN)
        if stored is None or link is not None or not row.last_error.startswith(_UNCERTAIN):
            return Done()
        provider = self._tools.calls.provider(effect.connection_id)
        if provider is not None:
            request, done = await self._request(row, effect, stored, provider, Progress())
            if claimed := await self._claimed(effect, provider, request):
                await self._save(row, effect, claimed, done)
                return Done()
        wait_s = self._tools.settings.open_for_s + self._tools.settings.claim_for_s - self._tools.age_s(row)
        if stored.session.active_handoff is not None:
            # The customer's next handoff stands behind this one.
            wait_s = min(wait_s, self._tools.early_s(row))
        return Waiting(min(wait_s, self._tools.settings.recheck_s)) if wait_s > 0 else GiveUp(error)

    async def _refused(
        self,
        row: OutboxRow,
        effect: OpenConversation,
        settlement: Settlement,
        stored: StoredSession,
        link: Link,
        refused: Refusal,
    ) -> Outcome:
        tools = self._tools
        done = progress(link)
        if refused.adopt or refused.older:
            return await self._in_the_way(row, effect, settlement, stored, link, refused)
        if refused.retry_after is None or done.refusals > tools.settings.refusals:
            return await self._fail(row, effect, settlement, refused.reason)
        due = refused.at + round(refused.retry_after * 1000)
        if (early := seconds_until(due, tools.clock.now())) > 0:
            return Waiting(early)
        return await self._attempt(row, effect, settlement, stored, done, due)

    async def _in_the_way(
        self,
        row: OutboxRow,
        effect: OpenConversation,
        settlement: Settlement,
        stored: StoredSession,
        link: Link,
        refused: Refusal,
    ) -> Outcome:
        """An older conversation of the same customer is open over there."""
        tools, done = self._tools, progress(link)
        provider = tools.calls.provider(effect.connection_id)
        if provider is None:
            return await self._fail(row, effect, settlement, "not_connected")
        request, _ = await self._request(row, effect, stored, provider, done)
        match await self._conflicts.settle(provider, request, link, refused):
            case Adopt(state=state):
                _log.info("opening.adopted", session_id=row.session_id, known=state is None)
                sent = done.brief_sent if state is None else 0
                result = OpenResult(remote_id=refused.adopt or refused.older, data=link.data)
                await self._save(row, effect, result, replace(done, refused=None, brief_sent=sent))
                if state is not None:
                    opened = ConversationOpened(at=tools.clock.now(), handoff_id=effect.handoff_id)
                    return await tools.finish(row, settlement, opened)
                return Waiting(tools.settings.recheck_s)
            case Join(news=news):
                _log.info("opening.joined", session_id=row.session_id)
                result = OpenResult(remote_id=refused.adopt or refused.older, data=link.data)
                await self._save(row, effect, result, replace(done, refused=None, brief_sent=0))
                return await tools.finish(row, settlement, news)
            case Wait(seconds=seconds):
                return Waiting(seconds)
            case CloseIt(link=stale):
                _log.warning("opening.ends_stale", session_id=row.session_id)
                with contextlib.suppress(ProviderError):
                    await tools.calls.call(
                        effect.connection_id, settlement, partial(provider.close, stale, refused.reason)
                    )
                return Waiting(tools.settings.recheck_s)
            case TryAgain() if done.refusals <= _CONFLICTS:
                return await self._attempt(row, effect, settlement, stored, done, tools.clock.now())
            case _:
                return await self._fail(row, effect, settlement, refused.reason)

    async def _attempt(
        self,
        row: OutboxRow,
        effect: OpenConversation,
        settlement: Settlement,
        stored: StoredSession,
        done: Progress,
        since: int,
    ) -> Outcome:
        """Try to open; `since` is when these attempts began, milliseconds since the epoch."""
        tools = self._tools
        left = tools.settings.open_for_s - (tools.clock.now() - since) / 1000
        provider = tools.calls.provider(effect.connection_id)
        if provider is None:
            return await self._fail(row, effect, settlement, "not_connected")
        request, done = await self._request(row, effect, stored, provider, done)
        uncertain = row.last_error.startswith(_UNCERTAIN)
        if uncertain and (claimed := await self._claimed(effect, provider, request)):
            _log.info("opening.adopted", session_id=row.session_id, attempts=row.attempts)
            await self._save(row, effect, claimed, done)
            return Waiting(tools.settings.recheck_s)
        # One attempt is made in any case: whoever decided it may have another clock than this node.
        if left <= 0 and row.attempts:
            return await self._fail(row, effect, settlement, row.last_error or "unavailable")
        if (early := tools.early_s(row)) > 0:
            return Waiting(min(early, tools.settings.recheck_s))
        if not_ready := provider.ready():
            if isinstance(not_ready, ProviderRejected | ProviderAuthFailed):
                return await self._fail(row, effect, settlement, _noted(row, not_ready))
            return await self._again(row, effect, settlement, not_ready, left)
        if not tools.calls.admit(effect.connection_id, row):
            stopped = tools.calls.stopped(effect.connection_id)
            if stopped or tools.calls.down(effect.connection_id) or left <= 0:
                tools.calls.withdraw(effect.connection_id, row)
                code = "auth_failed" if stopped else "unavailable"
                return await self._fail(row, effect, settlement, _at_once(row, code))
            return Waiting(min(left, tools.settings.recheck_s))
        await self._mark(row)
        try:
            result = await tools.calls.call(effect.connection_id, settlement, partial(provider.open, request))
        except (ProviderRejected, ProviderAuthFailed) as error:
            if isinstance(error, ContentRefused) and not done.shortened:
                return Retry(_at_once(row, _SHORTEN), after=0.0)
            return await self._fail(row, effect, settlement, _noted(row, error))
        except ProviderError as error:
            return await self._again(row, effect, settlement, error, left)
        if result.proven:
            link = self._link(row, effect, result, done)
            opened = ConversationOpened(at=tools.clock.now(), handoff_id=effect.handoff_id)
            return await tools.finish(row, settlement, opened, link=link)
        await self._save(row, effect, result, done)
        return Waiting(tools.settings.recheck_s)

    async def _again(
        self, row: OutboxRow, effect: OpenConversation, settlement: Settlement, error: ProviderError, left: float
    ) -> Outcome:
        noted, claim_wait_s = _noted(row, error), self._tools.settings.claim_wait_s
        retry = self._tools.retry(row, error, left, note=noted, uncertain_s=claim_wait_s)
        # One that would come with the end of the time is no use any more, but this one may have come about.
        if retry.after is not None and retry.after >= left:
            if not error.certain:
                return Retry(noted, after=claim_wait_s, certain=False)
            return await self._fail(row, effect, settlement, noted)
        return retry

    async def _fail(self, row: OutboxRow, effect: OpenConversation, settlement: Settlement, error: str) -> Outcome:
        """Tell the customer. A conversation that may have come about keeps the row here (see `_over`)."""
        reason = error.removeprefix(_UNCERTAIN)
        failed = OpenFailed(at=self._tools.clock.now(), handoff_id=effect.handoff_id, reason=reason)
        if not error.startswith(_UNCERTAIN):
            _log.error("opening.failed", session_id=row.session_id, row=row.id, error=reason)
            return await self._tools.finish(row, replace(settlement, dead=True, error=reason), failed)
        _log.error("opening.failed_uncertain", session_id=row.session_id, row=row.id, error=reason)
        await until_stored(self._tools.clock, partial(self._tools.conversations.apply, row.session_id, failed))
        return Retry(error, after=self._tools.settings.claim_wait_s, certain=False)

    async def _mark(self, row: OutboxRow) -> None:
        next_at = self._tools.clock.now() + round(self._tools.settings.claim_wait_s * 1000)
        await self._store.reschedule(row.id, attempts=row.attempts + 1, next_at=next_at, error=_IN_FLIGHT)

    async def _request(
        self, row: OutboxRow, effect: OpenConversation, stored: StoredSession, provider: Provider, done: Progress
    ) -> tuple[OpenRequest, Progress]:
        if row.last_error.removeprefix(_UNCERTAIN) == _SHORTEN or (done.refused is not None and done.refused.shorten):
            done = replace(done, shortened=True)
        limit = max(1, provider.limits.max_chars // 2) if done.shortened else provider.limits.max_chars
        parts = await self._tools.brief(row.session_id, effect, limit)
        request = OpenRequest(
            handoff_id=effect.handoff_id,
            session_id=row.session_id,
            project_id=stored.info.project_id,
            channel=stored.session.channel,
            customer_key=stored.info.caller_number or row.session_id,
            customer_name="",
            text=parts[0],
            # One that was refused after all is not sent again under its id (§15.2).
            message_id=part_id(effect.handoff_id, 0, done.refusals),
            at=row.created_at,
            attempt=max(row.attempts, done.refusals) + 1,
            refusals=done.refusals,
            reason=effect.reason,
            destination=effect.destination,
            options=effect.options or {},
        )
        brief = BriefOf(through=effect.through, answered=effect.answered, reason=effect.reason)
        opened = replace(done, brief_limit=limit, brief_parts=len(parts), brief_sent=1, brief_of=brief, refused=None)
        return request, opened

    async def _claimed(self, effect: OpenConversation, provider: Provider, request: OpenRequest) -> OpenResult | None:
        """The conversation that an uncertain attempt opened, if there are news of it."""
        if not isinstance(provider, ClaimsConversations):
            return None
        looked = self._looked.get(request.message_id) or set()
        self._looked.put(request.message_id, looked)
        for news in await self._store.inbox_unknown(effect.connection_id, but=looked):
            if not provider.claims(news, request):
                looked.add(news.id)
            elif await self._tools.links.by_remote(news.connection_id, news.remote_id) is None:
                return OpenResult(remote_id=news.remote_id, data=provider.link_data(request))
        return None

    def _link(self, row: OutboxRow, effect: OpenConversation, result: OpenResult, done: Progress) -> Link:
        link = Link(
            handoff_id=effect.handoff_id,
            session_id=row.session_id,
            connection_id=effect.connection_id,
            remote_id=result.remote_id,
            data=result.data,
        )
        return with_progress(link, done)

    async def _save(self, row: OutboxRow, effect: OpenConversation, result: OpenResult, done: Progress) -> None:
        link = self._link(row, effect, result, done)
        await until_stored(self._tools.clock, partial(self._tools.links.save, link))


def _at_once(row: OutboxRow, code: str) -> str:
    """`code` as it is noted in the row: once uncertain, always uncertain."""
    return _UNCERTAIN + code if row.last_error.startswith(_UNCERTAIN) else code


def _noted(row: OutboxRow, error: ProviderError) -> str:
    return _at_once(row, error.code) if error.certain else _UNCERTAIN + error.code
