"""What a running handoff must tell the contact centre: the rest of the brief, messages, the end."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from warmline.conversation.service import Conversations
from warmline.delivery.backoff import Backoff, until_stored
from warmline.delivery.cache import Cache
from warmline.delivery.calls import ProviderCalls
from warmline.delivery.links import Links, part_id, progress, with_progress
from warmline.delivery.recovery import again, companion, is_open, look_up
from warmline.delivery.views import SessionViews, handoff_in, last_words
from warmline.domain.commands import (
    Command,
    ConversationEnded,
    DeliveryDelayed,
    MessageConfirmed,
    MessageUndeliverable,
)
from warmline.domain.effects import CloseConversation, ForwardMessage, OpenConversation, ProviderEffect, SendBriefRest
from warmline.domain.events import HandoffTriggered, Recorded
from warmline.domain.session import Handoff
from warmline.handoff.brief import compose, split
from warmline.handoff.contract import (
    ContentRefused,
    ConversationGone,
    OutgoingMessage,
    ProviderAuthFailed,
    ProviderError,
    ProviderRejected,
    ProviderThrottled,
    Reconciles,
)
from warmline.ports import (
    Clock,
    Done,
    GiveUp,
    Leg,
    Link,
    OutboxRow,
    Outcome,
    Retry,
    Settled,
    Settlement,
    Store,
    Waiting,
    inbox_partition,
    seconds_until,
)

_log = structlog.get_logger(__name__)

_BRIEF_EVENTS = 400
"""How far back a brief can reach, in events."""

_GONE_AGAIN_S = 2.0

_NEWS_S = 0.5
"""So soon it is looked again whether news that may be a confirmation were processed."""

_DELAYED_ATTEMPTS = 3
"""After so many attempts that failed the customer is told that their message waits."""

_LONG = 1000
"""Characters of a text that a platform's policy may find too long although ours does not know it."""

_BACKOFF = Backoff((1.0, 3.0, 8.0, 20.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffSettings:
    """How long each effect is tried, in seconds (webex-byoc.md §15.3, §16.2)."""

    open_for_s: float = 30.0
    """Attempts to open are made for so long."""
    claim_wait_s: float = 5.0
    """After an uncertain attempt to open: how long news of the conversation are waited for."""
    claim_for_s: float = 60.0
    """How long news of a conversation are looked for that may have come about although we gave up."""
    refusals: int = 3
    forward_for_s: float = 900.0
    confirm_wait_s: float = 2.0
    """After an uncertain send: how long its confirmation is waited for."""
    close_for_s: float = 300.0
    """Shorter than for messages: the customer's next handoff waits for it."""
    close_attempts: int = 12
    """So many are made even if an outage, or what stood before it in its stream, took all the time."""
    recheck_s: float = 5.0
    backoff: Backoff = _BACKOFF


class Tools:
    """What every handler needs."""

    def __init__(
        self,
        conversations: Conversations,
        calls: ProviderCalls,
        links: Links,
        views: SessionViews,
        clock: Clock,
        settings: HandoffSettings,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.conversations = conversations
        self.calls = calls
        self.links = links
        self.views = views
        self.clock = clock
        self.settings = settings
        self._chance = chance

    def age_s(self, row: OutboxRow) -> float:
        """Seconds since the effect was decided."""
        return (self.clock.now() - row.created_at) / 1000

    def early_s(self, row: OutboxRow, not_before: int = 0) -> float:
        """Seconds until the row's next attempt is due, and it is `not_before` (ms); not positive when it is."""
        now = self.clock.now()
        early = row.early_s(now)
        return max(early, seconds_until(not_before, now)) if not_before else early

    def retry(
        self, row: OutboxRow, error: ProviderError, left_s: float, *, note: str = "", uncertain_s: float = 0.0
    ) -> Retry:
        """When to try again after `error`: within `left_s`, after an uncertain one not before `uncertain_s`."""
        if isinstance(error, ProviderThrottled):
            wait = error.retry_after
        else:
            wait = self.settings.backoff.delay(row.attempts + 1, self._chance())
            if not error.certain:
                wait = max(wait, uncertain_s)
        return Retry(note or error.code, after=min(wait, max(left_s, 0.0)), certain=error.certain)

    async def finish(
        self, row: OutboxRow, settlement: Settlement, command: Command, *, link: Link | None = None
    ) -> Outcome:
        """Apply a command in the change that settles the row."""
        apply = partial(self.conversations.apply, row.session_id, command, settle=settlement, link=link)
        await until_stored(self.clock, apply)
        if link is not None:
            self.links.saved(link)
        return Settled()

    async def brief(self, session_id: str, effect: OpenConversation | SendBriefRest, limit: int) -> list[str]:
        """The parts of the handoff's brief; the same every time for the same `limit` (code points)."""
        # The event after `through` is the one that triggered the handoff: it has the options.
        after = max(0, effect.through - _BRIEF_EVENTS)
        log = await self.conversations.events(session_id, after, _BRIEF_EVENTS + 1)
        text = compose(
            log, answered=effect.answered, through=effect.through, reason=effect.reason, note=_note(log, effect)
        )
        return split(text, limit)


def _note(log: list[Recorded], effect: OpenConversation | SendBriefRest) -> str:
    for recorded in reversed(log):
        event = recorded.event
        if isinstance(event, HandoffTriggered) and event.handoff_id == effect.handoff_id:
            note = (event.options or {}).get("brief")
            return note if isinstance(note, str) else ""
    return ""


class BriefRest:
    """Sends the parts of the brief that did not fit into the first message (handler of `SendBriefRest`)."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def __call__(self, row: OutboxRow, settlement: Settlement) -> Outcome:
        """Send part by part; how far it came survives a crash."""
        tools, effect = self._tools, row.effect
        assert isinstance(effect, SendBriefRest)
        link = await tools.links.get(effect.handoff_id)
        if link is None:
            return Done()
        done = progress(link)
        wanted = range(effect.part, effect.part + 1) if effect.part else range(done.brief_sent, done.brief_parts)
        if not wanted or not await _goes_on(tools, row, effect):
            return Done()
        provider = tools.calls.provider(effect.connection_id)
        left = tools.settings.forward_for_s - tools.age_s(row)
        if provider is None or left <= 0:
            return GiveUp(row.last_error or "not_connected")
        if (early := tools.early_s(row, effect.not_before)) > 0:
            return Waiting(early)
        parts = await tools.brief(row.session_id, effect, done.brief_limit)
        for part in wanted:
            if not tools.calls.admit(effect.connection_id, row):
                return Waiting(left)
            message = OutgoingMessage(message_id=part_id(effect.handoff_id, part), text=parts[part], at=row.created_at)
            try:
                await tools.calls.call(effect.connection_id, settlement, partial(provider.send, link, message))
            except ProviderRejected as error:
                return GiveUp(error.code)
            except ProviderAuthFailed:
                return Waiting(left)
            except ProviderError as error:
                return tools.retry(row, error, left, uncertain_s=tools.settings.confirm_wait_s)
            if not effect.part:
                link = with_progress(link, replace(progress(link), brief_sent=part + 1))
                await until_stored(tools.clock, partial(tools.links.save, link))
        return Done()


class Forward:
    """Gives the live agent customer messages (handler of `ForwardMessage`). The hot path: reads nothing twice."""

    def __init__(self, tools: Tools, store: Store) -> None:
        self._tools = tools
        self._store = store
        self._told: Cache[str, int] = Cache(10_000)

    async def __call__(self, row: OutboxRow, settlement: Settlement) -> Outcome:
        """Send it once; look before sending again; tell the customer when it will not arrive."""
        tools, effect = self._tools, row.effect
        assert isinstance(effect, ForwardMessage)
        if not await self._wanted(row, effect):
            return Done()
        if (early := tools.early_s(row, effect.not_before)) > 0:
            return Waiting(early)
        left = tools.settings.forward_for_s - tools.age_s(row)
        link = await tools.links.get(effect.handoff_id)
        provider = tools.calls.provider(effect.connection_id)
        if link is None or provider is None or left <= 0:
            return await self._undeliverable(row, effect, settlement, row.last_error or "not_connected")
        if row.attempts:
            if await self._news_wait(row, link):
                return Waiting(_NEWS_S)
            # Once more: what waited for its owner just now may have been applied since.
            if not await self._wanted(row, effect):
                return Done()
        if not tools.calls.admit(effect.connection_id, row):
            if tools.calls.down(effect.connection_id):
                await self._tell_delay(row, effect)
            return Waiting(left)
        message = OutgoingMessage(
            message_id=effect.alias or effect.message_id,
            text=effect.text,
            at=effect.at,
            attachments=effect.attachments,
            smaller=effect.smaller,
        )
        try:
            result = await tools.calls.call(effect.connection_id, settlement, partial(provider.send, link, message))
        except ConversationGone as error:
            return await self._gone(row, effect, settlement, link, error)
        except ProviderRejected as error:
            if isinstance(error, ContentRefused) and _divisible(effect):
                now = tools.clock.now()
                smaller, noted = again(link, effect.handoff_id, effect.message_id, due=now, smaller=True, now=now)
                return await tools.finish(row, settlement, smaller, link=noted)
            return await self._undeliverable(row, effect, settlement, error.code)
        except ProviderAuthFailed:
            return Waiting(left)
        except ProviderError as error:
            if row.attempts + 1 >= _DELAYED_ATTEMPTS and not isinstance(error, ProviderThrottled):
                await self._tell_delay(row, effect)
            return tools.retry(row, error, left, uncertain_s=tools.settings.confirm_wait_s)
        self._told.forget(row.session_id)
        tools.calls.metrics.relayed(effect.connection_id, Leg.UP, row.created_at)
        if result.confirmed:
            return await tools.finish(row, settlement, self._about(MessageConfirmed, effect))
        return Done()

    async def _wanted(self, row: OutboxRow, effect: ForwardMessage) -> bool:
        """The message still waits for the contact centre."""
        views = self._tools.views
        known = None if row.attempts else handoff_in(views.trusted(row.session_id), effect.handoff_id)
        if known is not None and _undelivered(known, effect.message_id):
            return True
        # Only the store can say no: another node may have written what this one has not seen.
        session = await views.fresh(row.session_id)
        fresh = handoff_in(session, effect.handoff_id)
        if fresh is not None:
            return _undelivered(fresh, effect.message_id)
        if not any(message.message_id == effect.message_id for message in last_words(session, effect.handoff_id)):
            return False
        # The customer has left: what they said goes out before the end does (it stands behind in the stream).
        link = await self._tools.links.get(effect.handoff_id)
        return link is not None and not {effect.message_id, effect.alias} & set(progress(link).confirmed)

    async def _news_wait(self, row: OutboxRow, link: Link) -> bool:
        """News of the conversation came before it was due again and wait for their owner, who may have just died.

        The confirmation may be among them.
        """
        news = await self._store.inbox_pending([inbox_partition(link.connection_id, link.remote_id)])
        return any(one.remote_id == link.remote_id and one.received_at <= row.next_at for one in news)

    async def _gone(
        self, row: OutboxRow, effect: ForwardMessage, settlement: Settlement, link: Link, error: ConversationGone
    ) -> Outcome:
        """They say that it is over: news of that may be under way; else ask before it is over for us (§15.1)."""
        tools = self._tools
        provider = tools.calls.provider(effect.connection_id)
        if provider is None or not isinstance(provider, Reconciles):
            return await self._undeliverable(row, effect, settlement, error.code)
        if not row.attempts:
            return Retry(error.code, after=_GONE_AGAIN_S)
        state = await look_up(provider, link.remote_id)
        if is_open(state):
            return await self._undeliverable(row, effect, settlement, error.code)
        ended_at = state.ended_at if state is not None else 0
        ended = ConversationEnded(
            at=tools.clock.now(), handoff_id=effect.handoff_id, provider_at=ended_at, reason="not_found"
        )
        return await tools.finish(row, settlement, ended)

    async def _tell_delay(self, row: OutboxRow, effect: ForwardMessage) -> None:
        """Once per outage (§15.3): until it is over, the same row is the first of its stream."""
        tools = self._tools
        if self._told.get(row.session_id):
            return
        self._told.put(row.session_id, row.id)
        delayed = DeliveryDelayed(at=tools.clock.now(), handoff_id=effect.handoff_id)
        apply = partial(tools.conversations.apply, row.session_id, delayed, dedup_key=f"delayed/{row.id}")
        await until_stored(tools.clock, apply)

    async def _undeliverable(
        self, row: OutboxRow, effect: ForwardMessage, settlement: Settlement, error: str
    ) -> Outcome:
        _log.error("forward.undeliverable", session_id=row.session_id, row=row.id, error=error)
        self._tools.calls.metrics.relayed(effect.connection_id, Leg.FAILED, row.created_at)
        dead = replace(settlement, dead=True, error=error)
        return await self._tools.finish(row, dead, self._about(MessageUndeliverable, effect))

    def _about(
        self, command: type[MessageConfirmed] | type[MessageUndeliverable], effect: ForwardMessage
    ) -> MessageConfirmed | MessageUndeliverable:
        now = self._tools.clock.now()
        return command(at=now, handoff_id=effect.handoff_id, message_id=effect.message_id)


class Close:
    """Ends the conversation over there (handler of `CloseConversation`)."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def __call__(self, row: OutboxRow, settlement: Settlement) -> Outcome:
        """Close it if there is one that is ours."""
        tools, effect = self._tools, row.effect
        assert isinstance(effect, CloseConversation)
        link = await tools.links.get(effect.handoff_id)
        if link is None or progress(link).refused is not None:
            return Done()
        if (early := tools.early_s(row)) > 0:
            return Waiting(early)
        if await companion(tools.links, tools.views, link) is not None:
            _log.info("close.left_to_another_session", session_id=row.session_id)
            return Done()
        left = tools.settings.close_for_s - tools.age_s(row)
        if row.attempts < tools.settings.close_attempts:
            left = max(left, tools.settings.backoff.longest)
        provider = tools.calls.provider(effect.connection_id)
        if provider is None or left <= 0:
            return GiveUp(row.last_error or "not_connected")
        if not tools.calls.admit(effect.connection_id, row):
            return Waiting(left)
        try:
            await tools.calls.call(effect.connection_id, settlement, partial(provider.close, link, effect.reason))
        except ConversationGone:
            return Done()
        except ProviderRejected as error:
            return GiveUp(error.code)
        except ProviderAuthFailed:
            return Waiting(left)
        except ProviderError as error:
            return tools.retry(row, error, left)
        return Done()


def _divisible(effect: ForwardMessage) -> bool:
    """What they refused may come through in another form: it had files beside its text, or is long."""
    return not effect.smaller and bool(effect.text) and (bool(effect.attachments) or len(effect.text) > _LONG)


async def _goes_on(tools: Tools, row: OutboxRow, effect: ProviderEffect) -> bool:
    return handoff_in(await tools.views.fresh(row.session_id), effect.handoff_id) is not None


def _undelivered(handoff: Handoff, message_id: str) -> bool:
    return any(message.message_id == message_id for message in handoff.undelivered)
