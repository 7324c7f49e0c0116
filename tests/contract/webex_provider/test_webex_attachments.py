"""Files towards Webex, and what opens those that come from it (webex-byoc.md §13)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from support.scripted_http import Reply, ScriptedServer
from support.webex import NOW, SENT, TASK, VALUES, link
from warmline.domain.messages import Attachment, FileRules
from warmline.handoff.contract import OutgoingMessage, ProviderEnvironment, ProviderRejected
from warmline.handoff.providers.webex import provider as webex
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.provider import WebexProvider

from .conftest import connection_to

APPEND = f"POST /v2/tasks/{TASK}/messages"
PDF = Attachment(
    content_url="https://w.example/files/t/attachment-1.pdf",
    title="May bill.pdf",
    mime_type="application/pdf",
    size=2_000,
)
WITH_FILE = OutgoingMessage(message_id=SENT, text="Here it is", at=NOW, attachments=(PDF,))

Making = Callable[..., Awaitable[WebexProvider]]


@pytest.fixture
async def making(scripted: ScriptedServer, environment: ProviderEnvironment) -> AsyncIterator[Making]:
    """Makes a started provider."""
    made: list[WebexProvider] = []

    async def make(**values: str) -> WebexProvider:
        named = {f"policy.{key}": value for key, value in values.items()}
        made.append(webex.create(connection_to(scripted.url, **named), environment))
        await made[-1].start()
        return made[-1]

    yield make
    for provider in made:
        await provider.stop()


async def test_a_file_goes_with_its_text_as_one_message(scripted: ScriptedServer, making: Making) -> None:
    scripted.always(APPEND, Reply(status=202, body={}))
    await (await making()).send(link(), WITH_FILE)
    (request,) = scripted.requests(APPEND)
    params = request.json["channelParams"]
    assert params["type"] == "text-with-attachments"
    assert (params["message"]["aliasId"], params["message"]["text"]) == (SENT, "Here it is")
    wanted = {"fileName": "May bill.pdf", "mimeType": "application/pdf", "fileUrl": PDF.content_url}
    assert params["message"]["attachments"] == [wanted]


async def test_a_long_text_goes_in_parts_and_the_file_with_the_last(scripted: ScriptedServer, making: Making) -> None:
    scripted.always(APPEND, Reply(status=202, body={}))
    await (await making(max_chars="6")).send(link(), WITH_FILE)
    first, last = (request.json["channelParams"] for request in scripted.requests(APPEND))
    assert (first["type"], last["type"]) == ("text", "text-with-attachments")
    assert last["message"]["aliasId"] == SENT


@pytest.mark.parametrize(
    "policy",
    [
        {"max_attachments": "0"},
        {"max_single_bytes": "1999"},
        {"max_total_bytes": "1999"},
        {"allowed_types": "image/*, text/plain"},
    ],
)
async def test_what_breaks_the_policy_is_not_sent_at_all(
    scripted: ScriptedServer, making: Making, policy: dict[str, str]
) -> None:
    provider = await making(**policy)
    with pytest.raises(ProviderRejected):
        await provider.send(link(), WITH_FILE)
    assert scripted.requests(APPEND) == []


async def test_the_mirrored_policy_is_what_customers_are_offered(making: Making) -> None:
    default = (await making()).limits.files
    types = ("image/*", "application/pdf", "text/plain", "text/csv")
    assert default == FileRules(max_count=5, max_bytes=10_485_760, max_total_bytes=26_214_400, types=types)
    assert (await making(max_attachments="0")).limits.files is None
    assert WebexConfig.read({**VALUES, "attachments_enabled": "false"}).files is None


async def test_A29_encrypted_files_are_opened_only_beside_an_emulator(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    connection = connection_to(scripted.url)
    assert webex.create(connection, environment).decryptor is not None
    assert webex.create(connection, replace(environment, relaxed=False)).decryptor is None
