"""A task created for a test, which rings an agent (webex-byoc.md §4, the test button's last step)."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from msgspec import structs

from warmline.handoff.contract import ConversationGone, OpenRequest, ProviderEnvironment, ProviderError
from warmline.handoff.providers.webex import mapping, wire
from warmline.handoff.providers.webex.client import WebexClient
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.tokens import Tokens
from warmline.handoff.verdicts import Verdict
from warmline.ports import Connection, InboxRow

TEXT = "Warmline connection test"
WITHIN_S = 30.0
_EVERY_S = 1.0
_STEP = "live_probe"

News = Callable[[str], Awaitable[Sequence[InboxRow]]]
"""The webhooks about a task that the running server has stored."""


async def probe(
    connection: Connection, environment: ProviderEnvironment, news: News, *, within_s: float = WITHIN_S
) -> tuple[Verdict, ...]:
    """Create a task, wait for Webex's verdict about it, end it. Renews no token: the server that runs does.

    Args:
        news: webhooks of a task, as the running server stored them.
        within_s: how long the verdict is waited for, seconds.
    """

    async def ignore(*_: object) -> None:
        return None

    environment = replace(environment, save_secrets=ignore, set_state=ignore)
    config = WebexConfig.read(connection.values)
    client = WebexClient(config, Tokens(config, connection.secrets, environment, renewing=False), environment)
    task, _ = mapping.create_task(config, _request(environment), environment.install_secret)
    # Not one of ours in Webex's records: no customer of this installation has it.
    origin = wire.Origin(id=f"warmline-test:{environment.ids.uuid()}", name=TEXT)
    try:
        task_id = await client.create_task(structs.replace(task, origin=origin))
        verdict = await _verdict(client, environment, news, task_id, within_s)
        with contextlib.suppress(ConversationGone):
            await client.end_task(task_id)
    except ProviderError as error:
        text = f"Webex did not carry out the test conversation: {error}."
        remedy = "Start the server, then see `warmline doctor`." if error.retryable else error.hint
        return (Verdict(step=_STEP, ok=False, text=text, remedy=remedy),)
    return (verdict,)


def _request(environment: ProviderEnvironment) -> OpenRequest:
    """A customer of its own each time, so that nothing older is in the way."""
    return OpenRequest(
        handoff_id=environment.ids.uuid(),
        session_id=environment.ids.uuid(),
        project_id="",
        channel="webchat",
        customer_key=environment.ids.uuid(),
        customer_name=TEXT,
        text=TEXT,
        message_id=environment.ids.uuid(),
        at=environment.clock.now(),
    )


async def _verdict(
    client: WebexClient, environment: ProviderEnvironment, news: News, task_id: str, within_s: float
) -> Verdict:
    began = time.monotonic()
    end = environment.clock.monotonic() + within_s
    while environment.clock.monotonic() < end:
        for row in await news(task_id):
            envelope = wire.envelope_decoder.decode(row.body)
            if envelope.type == "task:failed":
                reason = str(envelope.body.get("reason") or "UNKNOWN")
                hint = mapping.hint(reason)
                return Verdict(step=_STEP, ok=False, text=f"Webex refused the conversation: {reason}.", remedy=hint)
            if str(envelope.type).startswith("task:"):
                text = f"Webex created a conversation and told so after {time.monotonic() - began:.1f} s; it was ended."
                return Verdict(step=_STEP, ok=True, text=text)
        await environment.clock.sleep(_EVERY_S)
    if (await client.search([task_id])).get(task_id) is not None:
        text = f"Webex created a conversation, but no webhook told so within {within_s:.0f} s; it was ended."
        remedy = "Check the subscriptions and the events webhook URL; is the server running?"
        return Verdict(step=_STEP, ok=True, text=text, field="events_webhook_url", remedy=remedy)
    text = f"Webex accepted a conversation, and nothing was heard of it within {within_s:.0f} s."
    remedy = "Is the server running? Does the entry point's flow run? Check the asset's entry point in Control Hub."
    return Verdict(step=_STEP, ok=False, text=text, remedy=remedy)
