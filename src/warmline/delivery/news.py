"""What stored webhooks mean for handoffs: they become commands, each applied once in every session they are about."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import cast

import structlog

from warmline import telemetry
from warmline.conversation.service import Conversations
from warmline.delivery.agent_files import AgentFiles
from warmline.delivery.calls import Providers
from warmline.delivery.links import Links, Refusal, progress, with_progress
from warmline.delivery.reconcile import Reconciler
from warmline.delivery.recovery import SecondThoughts
from warmline.delivery.transcripts import Transcripts
from warmline.delivery.views import SessionViews, handoff_in, last_words
from warmline.domain.commands import (
    AgentJoined,
    AgentMessage,
    ConversationEnded,
    DeliveryDelayed,
    MessageConfirmed,
    ProviderCommand,
)
from warmline.domain.effects import provider_stream
from warmline.domain.errors import LeaseLost, Overtaken, RuleViolation, StoreUnavailable
from warmline.domain.session import Session
from warmline.handoff.contract import NamesAgents, OpenRefused, Parsed, Provider, SharesConversations
from warmline.ports import Change, Clock, InboxRow, Link, Store

_log = structlog.get_logger(__name__)

Fence = tuple[int, int]
"""Partition and epoch (`ports.Change`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsSettings:
    """How long news wait for what belongs to them, in seconds."""

    name_within_s: float = 2.0
    files_within_s: float = 10.0
    """How long the end of a conversation waits for files that its live agent sent before."""


class News:
    """Turns rows of the inbox into commands.

    Args:
        wake: wakes a stream of the outbox.
        finish: settles a row that changes no session: (row, state, result).
        note: counts a row that a change has settled: (row, result).
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        conversations: Conversations,
        links: Links,
        views: SessionViews,
        clock: Clock,
        wake: Callable[[str], None],
        reconciler: Reconciler,
        files: AgentFiles,
        transcripts: Transcripts,
        settings: NewsSettings,
        finish: Callable[[InboxRow, str, str], Awaitable[None]],
        note: Callable[[InboxRow, str], None],
    ) -> None:
        self._store = store
        self._providers = providers
        self._conversations = conversations
        self._links = links
        self._views = views
        self._clock = clock
        self._wake = wake
        self._reconciler = reconciler
        self._second_thoughts = SecondThoughts(clock, reconciler.doubted)
        self._files = files
        self._transcripts = transcripts
        self._settings = settings
        self._finish = finish
        self._note = note

    async def take(self, row: InboxRow, link: Link, epoch: int) -> None:
        """Process and settle a row of the conversation of `link`.

        `epoch` is that of the row's partition: nothing is changed when it is another node's by then.
        Raises: LeaseLost, StoreUnavailable, or what it broke on.
        """
        fence = (row.partition, epoch)
        provider = self._providers.get(row.connection_id)
        if provider is None:
            await self._finish(row, "dead", "")
            _log.error("inbox.not_connected", connection_id=row.connection_id, row=row.id)
            return
        if (sharing := _sharing(provider)) is not None and sharing.shares(link):
            # Read each time: another node may have taken a session into the conversation.
            for other in await self._links.beside(link):
                await self._tell_beside(provider, row, other, fence)
        parsed = self._parse(provider, row, link)
        if parsed is None:
            await self._finish(row, "dead", "")
        elif parsed.refused is not None:
            await self._refuse(row, link, parsed.refused, fence)
        elif parsed.transcript:
            await self._transcripts.ready(link)
            await self._finish(row, "done", "transcript")
        elif parsed.command is None:
            await self._finish(row, "done", "meaningless")
        else:
            command, noted = await self._second_thoughts.about(provider, row, link, parsed)
            if command is None:
                await self._finish(row, "done", "doubted")
            else:
                with _followed(row, command):
                    await self._apply(provider, row, link, command, parsed, noted, fence)

    async def confirm(self, row: InboxRow, epoch: int) -> bool:
        """Store a confirmation of a customer's message together with what it means, in one commit.

        False: nothing was done, since it is something else, was heard before, or does not go through as it is; then
        it is to be stored and taken (`take`).
        """
        link = self._links.known(row.connection_id, row.remote_id)
        provider = self._providers.get(row.connection_id)
        if link is None or provider is None or ((sharing := _sharing(provider)) is not None and sharing.shares(link)):
            return False
        parsed = self._parse(provider, row, link)
        if parsed is None or parsed.doubtful or parsed.resend is not None:
            return False
        command, _ = await self._second_thoughts.about(provider, row, link, parsed)
        if not isinstance(command, MessageConfirmed):
            return False
        if handoff_in(self._views.trusted(link.session_id), link.handoff_id) is None:
            return False
        try:
            with _followed(row, command):
                committed = await self._conversations.apply(
                    link.session_id,
                    command,
                    dedup_key=parsed.dedup_key,
                    inbox_row=row,
                    fence=(row.partition, epoch),
                    holds=partial(_not_left_over, link.handoff_id, command.message_id),
                )
        except (LeaseLost, RuleViolation, StoreUnavailable):
            return False
        if committed.duplicate:
            return False
        self._reconciler.heard(link, command)
        return True

    async def _tell_beside(self, provider: Provider, row: InboxRow, link: Link, fence: Fence) -> None:
        """The same news in another session of the customer; the row stays open (webex-byoc.md §17, race 21)."""
        parsed = self._parse(provider, row, link)
        if parsed is None or parsed.refused is not None:
            return
        if parsed.transcript:
            await self._transcripts.ready(link)
        elif parsed.command is not None:
            command, noted = await self._second_thoughts.about(provider, row, link, parsed)
            if command is not None:
                await self._apply(provider, row, link, command, parsed, noted, fence, settles=False)

    def _parse(self, provider: Provider, row: InboxRow, link: Link) -> Parsed | None:
        try:
            return provider.parse(row, link, self._clock.now())
        except Exception:
            # The same row gives the same answer: trying again is no use.
            _log.exception("inbox.not_understood", connection_id=row.connection_id, row=row.id)
            return None

    async def _apply(
        self,
        provider: Provider,
        row: InboxRow,
        link: Link,
        command: ProviderCommand,
        parsed: Parsed,
        noted: Link | None,
        fence: Fence,
        *,
        settles: bool = True,
    ) -> None:
        command = await self._named(provider, command)
        if isinstance(command, AgentMessage) and parsed.files:
            await self._show_files(provider, row, link, command, parsed, fence, settles)
            return
        holds: Callable[[Session], bool] | None = None
        if isinstance(command, MessageConfirmed):
            ended = await self._after_the_end(noted or link, command.message_id)
            noted = ended or noted
            holds = None if ended else partial(_not_left_over, link.handoff_id, command.message_id)
        if isinstance(command, ConversationEnded):
            await self._files.settled(link.session_id, within_s=self._settings.files_within_s)
        try:
            committed = await self._conversations.apply(
                link.session_id,
                command,
                dedup_key=parsed.dedup_key,
                inbox_done=row.id if settles else None,
                link=noted,
                fence=fence,
                holds=holds,
            )
        except Overtaken:
            # The customer has left in this moment: now it is known to come after the end.
            await self._apply(provider, row, link, command, parsed, noted, fence, settles=settles)
            return
        except RuleViolation as error:
            _log.info("inbox.not_allowed", session_id=link.session_id, row=row.id, code=error.code)
            if settles:
                await self._finish(row, "done", "meaningless")
            return
        if noted is not None and not committed.duplicate:
            self._links.saved(noted)
            self._wake(provider_stream(link.connection_id, link.session_id))
        self._reconciler.heard(link, command)
        if settles:
            self._note(row, "repeated" if committed.duplicate else "applied")

    async def _after_the_end(self, link: Link, message_id: str) -> Link | None:
        """A session that has ended changes no more: the handler of the message finds its confirmation in the link."""
        if handoff_in(self._views.trusted(link.session_id), link.handoff_id) is not None:
            return None
        session = await self._views.fresh(link.session_id)
        if session is None or _not_left_over(link.handoff_id, message_id, session):
            return None
        now = progress(link)
        return with_progress(link, replace(now, confirmed=(*now.confirmed, message_id)))

    async def _show_files(
        self,
        provider: Provider,
        row: InboxRow,
        link: Link,
        message: AgentMessage,
        parsed: Parsed,
        fence: Fence,
        settles: bool,
    ) -> None:
        """The words first and at once; the files follow when they are here (webex-byoc.md §13.2)."""
        if message.text:
            with contextlib.suppress(RuleViolation):
                await self._conversations.apply(link.session_id, message, dedup_key=parsed.dedup_key, fence=fence)
        finished = partial(self._note, row, "applied") if settles else None
        self._files.take(provider, row, link, message, parsed.files, parsed.dedup_key, finished)

    async def _named(self, provider: Provider, command: ProviderCommand) -> ProviderCommand:
        """Fill in the live agent's name if the platform tells it in time."""
        if not isinstance(command, AgentJoined | AgentMessage):
            return command
        agent = command.agent
        if agent is None or agent.name or not agent.id or (naming := _naming(provider)) is None:
            return command
        try:
            async with asyncio.timeout(self._settings.name_within_s):
                return replace(command, agent=await naming.agent(agent.id))
        except TimeoutError:
            return command

    async def _refuse(self, row: InboxRow, link: Link, refused: OpenRefused, fence: Fence) -> None:
        """Leave a note that the handler of the handoff's open row finds, also after a crash."""
        now = progress(link)
        if now.refused is not None:
            await self._finish(row, "done", "repeated")
            return
        final = refused.retry_after is None and not (refused.adopt or refused.older)
        tell = _log.error if final else _log.warning
        tell("handoff.refused", session_id=link.session_id, reason=refused.reason, hint=refused.operator_hint)
        if refused.misconfigured:
            await self._providers.set_state(link.connection_id, "misconfigured", refused.operator_hint)
        refusal = Refusal(
            reason=refused.reason,
            at=self._clock.now(),
            retry_after=refused.retry_after,
            adopt=refused.adopt,
            older=refused.older,
            shorten=refused.shorten,
        )
        noted = with_progress(link, replace(now, refused=refusal, refusals=now.refusals + 1))
        if refused.busy and not now.refusals:
            busy = DeliveryDelayed(at=self._clock.now(), handoff_id=link.handoff_id, busy=True)
            await self._conversations.apply(link.session_id, busy, inbox_done=row.id, link=noted, fence=fence)
        else:
            await self._store.transact(Change(session_id=link.session_id, link=noted, inbox_done=row.id, fence=fence))
        self._note(row, "refusal")
        self._links.saved(noted)
        self._wake(provider_stream(link.connection_id, link.session_id))


@cache
def _offers(kind: type[Provider], ability: type) -> bool:
    """Whether providers of this class can do that: `isinstance` looks at every method every time."""
    return issubclass(kind, ability)


def _sharing(provider: Provider) -> SharesConversations | None:
    return cast(SharesConversations, provider) if _offers(type(provider), SharesConversations) else None


def _naming(provider: Provider) -> NamesAgents | None:
    return cast(NamesAgents, provider) if _offers(type(provider), NamesAgents) else None


def _not_left_over(handoff_id: str, message_id: str, session: Session) -> bool:
    """The message is none of those that nobody had confirmed when the customer left."""
    return not any(message.message_id == message_id for message in last_words(session, handoff_id))


def _followed(row: InboxRow, command: ProviderCommand) -> contextlib.AbstractContextManager[None]:
    """In whose trace it is: a live agent's message begins one, a confirmation belongs to the customer's message."""
    match command:
        case AgentMessage(message_id=message_id):
            since = row.received_at
            return telemetry.begin(
                "webhook.apply", message_id, since_ms=since, connection=row.connection_id, row=row.id
            )
        case MessageConfirmed(message_id=message_id):
            return telemetry.follow("webhook.apply", message_id, connection=row.connection_id, row=row.id)
        case _:
            return contextlib.nullcontext()
