"""Files that live agents send: fetched at once, kept here, shown under addresses of ours (webex-byoc.md §13.2)."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog

from warmline.conversation.service import Conversations
from warmline.delivery.backoff import Backoff, until_stored
from warmline.domain.commands import AgentMessage
from warmline.domain.errors import RuleViolation, WarmlineError
from warmline.domain.messages import Attachment
from warmline.files import Fetcher, FileRelay
from warmline.files.kinds import clean_name, delivered_type
from warmline.files.relay import AGENT_TTL_S
from warmline.handoff.contract import DecryptsFiles, Provider, RemoteFile
from warmline.ports import Clock, InboxRow, Link

_log = structlog.get_logger(__name__)

TRIES = 3
NOT_DELIVERED = "An attachment couldn't be delivered."
NOT_SHOWN = "The agent sent a file that can't be shown here: {name}"
"""What the customer reads in the place of a file (webex-byoc.md §13.2, §13.3)."""

_BETWEEN = Backoff((1.0, 3.0), jitter=0.0)
_NAMESPACE = uuid.UUID("0f3c1f3e-7f0a-4c52-9f5e-3d0b6a6f9d11")
"""Of the ids of the messages that files are shown in."""


class _NotShown(WarmlineError):
    """The file is encrypted and there is no way to open it here."""

    def __init__(self) -> None:
        super().__init__("file_encrypted")


class AgentFiles:
    """Turns an agent's files into messages of their own, beside the conversation: they never hold up its texts.

    The webhook's row stays unprocessed until its last file was shown or given up, so that a crash loses none.
    """

    def __init__(self, conversations: Conversations, relay: FileRelay, fetcher: Fetcher, clock: Clock) -> None:
        self._conversations = conversations
        self._relay = relay
        self.fetcher = fetcher
        self._clock = clock
        self._tasks: dict[asyncio.Task[None], str] = {}

    async def stop(self) -> None:
        """Stop where it is; rows stay in the store."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.fetcher.close()

    def take(
        self,
        provider: Provider,
        row: InboxRow,
        link: Link,
        message: AgentMessage,
        files: tuple[RemoteFile, ...],
        dedup_key: str,
        finished: Callable[[], None] | None,
    ) -> None:
        """Begin to show `files` of `message`, one after the other; `finished` is called when the row is done.

        Without `finished` the row is not done with them: another session of the same customer has it.
        """
        inbox_done = None if finished is None else row.id
        work = self._show_all(provider, inbox_done, link, message, files, dedup_key)
        task = asyncio.create_task(work, name="agent-files")
        self._tasks[task] = link.session_id

        def done(task: asyncio.Task[None]) -> None:
            del self._tasks[task]
            if task.cancelled():
                return
            if (error := task.exception()) is not None:
                _log.error("agent_files.broke", session_id=link.session_id, row=row.id, exc_info=error)
                return
            if finished is not None:
                finished()

        task.add_done_callback(done)

    async def settled(self, session_id: str, *, within_s: float) -> None:
        """Wait until the session's files are shown, but no longer than that: what ends it should come after them."""
        tasks = [task for task, owner in self._tasks.items() if owner == session_id]
        if not tasks:
            return
        limit = asyncio.ensure_future(self._clock.sleep(within_s))
        shown = asyncio.ensure_future(asyncio.wait(tasks))
        try:
            await asyncio.wait((limit, shown), return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()
            shown.cancel()

    async def _show_all(
        self,
        provider: Provider,
        inbox_done: int | None,
        link: Link,
        message: AgentMessage,
        files: tuple[RemoteFile, ...],
        dedup_key: str,
    ) -> None:
        for number, file in enumerate(files):
            about = replace(message, message_id=str(uuid.uuid5(_NAMESPACE, f"{message.message_id}/{number}")), text="")
            shown = await self._shown(provider, link.session_id, about, file)
            last = number == len(files) - 1
            apply = partial(
                self._conversations.apply,
                link.session_id,
                replace(shown, at=self._clock.now()),
                dedup_key=f"{dedup_key}/file-{number}",
                inbox_done=inbox_done if last else None,
            )
            try:
                await until_stored(self._clock, apply)
            except RuleViolation as error:
                _log.info("agent_files.not_allowed", session_id=link.session_id, code=error.code)

    async def _shown(self, provider: Provider, session_id: str, about: AgentMessage, file: RemoteFile) -> AgentMessage:
        """The message that shows the file, or says in the name of nobody that it cannot be shown."""
        try:
            return replace(about, attachments=(await self._tried(provider, session_id, file),))
        except _NotShown:
            _log.warning("agent_files.encrypted", session_id=session_id)
            return replace(about, agent=None, text=NOT_SHOWN.format(name=clean_name(file.name)))
        except Exception as error:
            code = error.code if isinstance(error, WarmlineError) else type(error).__name__
            _log.error("agent_files.failed", session_id=session_id, error=code)
            return replace(about, agent=None, text=NOT_DELIVERED)

    async def _tried(self, provider: Provider, session_id: str, file: RemoteFile) -> Attachment:
        failures = 0
        while True:
            try:
                return await self._have(provider, session_id, file)
            except WarmlineError as error:
                failures += 1
                if not error.retryable or failures == TRIES:
                    raise
                _log.info("agent_files.retry", session_id=session_id, error=error.code, failures=failures)
                await self._clock.sleep(_BETWEEN.delay(failures, 0.5))

    async def _have(self, provider: Provider, session_id: str, file: RemoteFile) -> Attachment:
        decryptor = provider.decryptor if isinstance(provider, DecryptsFiles) else None
        if file.encrypted and decryptor is None:
            raise _NotShown
        fetched = await self.fetcher.fetch(file.url)
        content, said = fetched.content, file.mime_type or fetched.mime_type
        if file.encrypted and decryptor is not None:
            try:
                content = await decryptor.decrypt(file, content)
            except WarmlineError as error:
                if error.retryable:
                    raise
                raise _NotShown from error
        kind = delivered_type(said, content)
        return await self._relay.keep(session_id, file.name, kind, content, ttl_s=AGENT_TTL_S)
