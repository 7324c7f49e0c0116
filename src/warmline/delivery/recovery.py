"""What is done when the contact centre says that something of ours did not work out (webex-byoc.md §15)."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from warmline.delivery.links import Links, Progress, Refusal, Resent, part_id, progress, with_progress
from warmline.delivery.views import SessionViews, handoff_in
from warmline.domain.commands import (
    AgentJoined,
    ConversationQueued,
    MessageConfirmed,
    MessageUndeliverable,
    ProviderCommand,
    ResendBriefPart,
    ResendMessage,
)
from warmline.domain.handoff import HandoffState
from warmline.handoff.contract import (
    OpenRequest,
    Parsed,
    Provider,
    ProviderError,
    Reconciles,
    RemoteState,
    RemoteStatus,
    Resend,
    SharesConversations,
)
from warmline.ports import Clock, InboxRow, Link, StoredSession

_log = structlog.get_logger(__name__)

_LOOK_WITHIN_S = 5.0
_CLOSED_AFTER_S = 5.0
"""An earlier conversation that is over has that long to free its customer's identity."""
_CLOSE_WITHIN_S = 30.0
_RECHECK_S = 5.0


async def look_up(provider: Provider | None, remote_id: str) -> RemoteState | None:
    """How the platform says that a conversation is; None when it cannot be asked or does not know it."""
    if provider is None or not isinstance(provider, Reconciles):
        return None
    try:
        async with asyncio.timeout(_LOOK_WITHIN_S):
            return (await provider.look_up([remote_id])).get(remote_id)
    except TimeoutError:
        return None
    except ProviderError as error:
        _log.warning("recovery.look_up_failed", code=error.code, hint=error.hint)
        return None


def is_open(state: RemoteState | None) -> bool:
    """It is open for certain."""
    return state is not None and state.status is not RemoteStatus.ENDED


def alias_of(message_id: str, number: int) -> str:
    """Another id for a message that is sent in another form; the same at every retry."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{message_id}/again/{number}"))


def again(
    link: Link, handoff_id: str, message_id: str, *, due: int, smaller: bool, now: int
) -> tuple[ResendMessage, Link]:
    """The command that sends a message once more, and the link that remembers it."""
    done = progress(link)
    times = done.resent[message_id].times + 1 if message_id in done.resent else 1
    alias = alias_of(message_id, times) if smaller else ""
    aliases = {**done.aliases, alias: message_id} if alias else done.aliases
    noted = replace(done, resent={**done.resent, message_id: Resent(times=times, due=due)}, aliases=aliases)
    command = ResendMessage(
        at=now, handoff_id=handoff_id, message_id=message_id, not_before=due, alias=alias, smaller=smaller
    )
    return command, with_progress(link, noted)


async def companion(links: Links, views: SessionViews, link: Link) -> StoredSession | None:
    """Another session whose handoff goes on in the conversation of `link`."""
    for other in await links.beside(link):
        stored = await views.stored(other.session_id)
        if stored is not None and handoff_in(stored.session, other.handoff_id) is not None:
            return stored
    return None


class SecondThoughts:
    """Decides whether stored news are taken at their word (webex-byoc.md §12.3, §15.1)."""

    def __init__(self, clock: Clock, doubted: Callable[[Link], None]) -> None:
        self._clock = clock
        self._doubted = doubted

    async def about(
        self, provider: Provider, row: InboxRow, link: Link, parsed: Parsed
    ) -> tuple[ProviderCommand | None, Link | None]:
        """The command to apply instead of `parsed.command` (None: none), and the link to save with it."""
        command = _named_as_ours(parsed.command, progress(link))
        if parsed.doubtful:
            if not is_open(await look_up(provider, link.remote_id)):
                return command, None
            _log.warning("recovery.end_doubted", session_id=link.session_id, row=row.id)
            self._doubted(link)
            if parsed.resend is None:
                return None, None
        if parsed.resend is None:
            return command, None
        return self._resend(row, link, parsed, command)

    def _resend(
        self, row: InboxRow, link: Link, parsed: Parsed, command: ProviderCommand | None
    ) -> tuple[ProviderCommand | None, Link | None]:
        assert parsed.resend is not None
        now, done = self._clock.now(), progress(link)
        message_id = done.aliases.get(parsed.resend.message_id, parsed.resend.message_id)
        before = done.resent.get(message_id)
        if before is not None and row.event_at < before.due:
            return None, None
        times = before.times if before is not None else 0
        if (part := _brief_part(link, message_id)) is not None:
            return self._resend_part(link, parsed.resend, part, times)
        if times < len(parsed.resend.delays):
            due = now + round(parsed.resend.delays[times] * 1000)
            return again(link, link.handoff_id, message_id, due=due, smaller=parsed.resend.smaller, now=now)
        if isinstance(command, MessageUndeliverable):
            return command, None
        return MessageUndeliverable(at=now, handoff_id=link.handoff_id, message_id=message_id), None

    def _resend_part(
        self, link: Link, resend: Resend, part: int, times: int
    ) -> tuple[ProviderCommand | None, Link | None]:
        """The same with a later part of the brief, which no message of the customer stands for."""
        now, done = self._clock.now(), progress(link)
        brief = done.brief_of
        if brief is None or resend.smaller or times >= len(resend.delays):
            _log.error("recovery.brief_part_lost", session_id=link.session_id, part=part, times=times)
            return None, None
        due = now + round(resend.delays[times] * 1000)
        again = {**done.resent, resend.message_id: Resent(times=times + 1, due=due)}
        command = ResendBriefPart(
            at=now,
            handoff_id=link.handoff_id,
            part=part,
            through=brief.through,
            answered=brief.answered,
            reason=brief.reason,
            not_before=due,
        )
        return command, with_progress(link, replace(done, resent=again))


def _brief_part(link: Link, message_id: str) -> int | None:
    """Which later part of the brief has this id."""
    later = range(1, progress(link).brief_parts)
    return next((part for part in later if part_id(link.handoff_id, part) == message_id), None)


def _named_as_ours(command: ProviderCommand | None, done: Progress) -> ProviderCommand | None:
    if isinstance(command, MessageConfirmed | MessageUndeliverable) and command.message_id in done.aliases:
        return replace(command, message_id=done.aliases[command.message_id])
    return command


@dataclass(frozen=True, slots=True)
class Adopt:
    """It is the customer's own: go on in it. `state`: what the platform told of it; then it has no brief of ours."""

    state: RemoteState | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """Another session of the same customer is in it: go on in it together; `news` is how it is there."""

    news: ProviderCommand


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Nothing is in the way any more."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CloseIt:
    """It is open although it is over for us, which the platform has proved: end it, then look again."""

    link: Link


@dataclass(frozen=True, slots=True)
class Hopeless:
    """It is not ours to touch."""


Conflict = Adopt | Join | TryAgain | Wait | CloseIt | Hopeless


class Conflicts:
    """An open conversation of the same customer is in the way (webex-byoc.md §15.2, CONVERSATION_ALREADY_OPEN).

    One that is not proven to be over on our side is never ended: somebody may be in it.
    """

    def __init__(self, links: Links, views: SessionViews, clock: Clock) -> None:
        self._links = links
        self._views = views
        self._clock = clock

    async def settle(self, provider: Provider, request: OpenRequest, link: Link, refused: Refusal) -> Conflict:
        """What to do about `refused` now."""
        older = refused.adopt or refused.older
        others = await self._links.beside(replace(link, remote_id=older))
        if link.remote_id == older or (refused.adopt and not others):
            return Adopt()
        if not others:
            state = await look_up(provider, older)
            ours = state is not None and isinstance(provider, Reconciles) and provider.belongs(state, request)
            return Adopt(state) if ours and is_open(state) else Hopeless()
        if (running := await companion(self._links, self._views, replace(link, remote_id=older))) is not None:
            return self._beside(provider, request, link, running)
        return await self._stale(provider, others[-1], refused)

    def _beside(self, provider: Provider, request: OpenRequest, link: Link, other: StoredSession) -> Conflict:
        """Case 2: only the same customer may be taken into a conversation that goes on, once it has come about."""
        handoff = other.session.active_handoff
        customer = (other.info.project_id, other.session.channel, other.info.caller_number)
        same = customer == (request.project_id, request.channel, request.customer_key)
        if handoff is None or not same or not isinstance(provider, SharesConversations) or not provider.shares(link):
            return Hopeless()
        if handoff.state is HandoffState.REQUESTED:
            return Wait(_RECHECK_S)
        now = self._clock.now()
        if handoff.state is HandoffState.LIVE and handoff.agent is not None:
            return Join(AgentJoined(at=now, handoff_id=link.handoff_id, agent=handoff.agent))
        return Join(ConversationQueued(at=now, handoff_id=link.handoff_id))

    async def _stale(self, provider: Provider, other: Link, refused: Refusal) -> Conflict:
        age_s = (self._clock.now() - refused.at) / 1000
        if not is_open(await look_up(provider, other.remote_id)):
            return TryAgain() if age_s >= _CLOSED_AFTER_S else Wait(_CLOSED_AFTER_S - age_s)
        if age_s >= _CLOSE_WITHIN_S:
            return Hopeless()
        return CloseIt(other) if age_s < _RECHECK_S else Wait(_RECHECK_S)
