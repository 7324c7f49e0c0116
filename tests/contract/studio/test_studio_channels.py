"""Channels in the Studio: websites with their tokens and looks, the preview, API keys."""

import re
from collections.abc import AsyncIterator
from html import unescape

import pytest
import pytest_asyncio

from support.studio import Visit, add_user, studio_server
from warmline.app import Server
from warmline.ports import Connector, Role
from warmline.testing.messaging_client import MessagingClient

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = '"><script>alert(1)</script>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server, and an administrator."""
    async with studio_server(tmp_path_factory.mktemp("data")) as running:
        await add_user(running, "admin@example.org", Role.ADMIN)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def visit(server: Server) -> AsyncIterator[Visit]:
    """The administrator, signed in."""
    async with Visit(server) as visitor:
        await visitor.sign_in("admin@example.org")
        yield visitor


async def websites(server: Server) -> list[Connector]:
    return [c for c in await server.store.connectors() if not c.id.startswith("studio-preview-")]


async def test_a_website_is_added_configured_and_revoked(server: Server, visit: Visit) -> None:
    assert "No website yet" in (await visit.get("/studio/channels"))[1]
    assert (await visit.post("/studio/channels", host="not a host"))[0] == 422
    status, page = await visit.post("/studio/channels", host="https://WWW.Example.com/shop", agent_name="Lumi")
    assert status == 303
    (made,) = await websites(server)
    assert (made.host, made.agent_name, made.environment) == ("www.example.com", "Lumi", "live")
    _, text = await visit.get(page)
    assert f"/widget/{made.token}.js" in text

    form = {"host": "example.com", "agent_name": "Lumi", "header_text": "Shop", "color": "#123456"}
    status, text = await visit.post(page, **form | {"color": "red", "privacy_url": "javascript:alert(1)"})
    assert status == 422
    assert "A colour looks like" in text
    assert "must begin with https" in text
    assert await websites(server) == [made]
    status, _ = await visit.post(
        page, **form, disclaimer="Read {{termsUrl}}", disclaimer_consent="true", languages="de, EN"
    )
    assert status == 303
    (changed,) = await websites(server)
    assert changed.host == "example.com"
    look = changed.settings["widget"]
    assert isinstance(look, dict)
    assert (look["header_text"], look["color"], look["disclaimer_consent"]) == ("Shop", "#123456", True)
    assert "terms_url" not in look
    assert look["languages"] == ["de", "en"]
    assert 'value="de, en"' in (await visit.get(page))[1]
    assert (await visit.post(page, **form, languages="xx"))[0] == 422

    assert "cannot be brought back" in (await visit.get(f"{page}/revoke"))[1]
    assert (await visit.post(f"{page}/revoke"))[0] == 303
    assert await server.store.connectors() == []


async def test_own_settings_without_a_field_stay(server: Server, visit: Visit) -> None:
    own = Connector(
        id="own",
        token="own",
        project_id=server.project_ids[0],
        host="a.example",
        settings={"widget": {"texts": {"x": "y"}}},
    )
    await server.store.save_connector(own)
    await visit.post("/studio/channels/own", host="a.example", header_text="New")
    (changed,) = [c for c in await websites(server) if c.id == "own"]
    look = changed.settings["widget"]
    assert isinstance(look, dict)
    assert look["texts"] == {"x": "y"}
    await server.store.delete_connector("own")


async def test_the_preview_is_the_real_widget_in_the_sandbox(server: Server, visit: Visit) -> None:
    _, page = await visit.post("/studio/channels", host="preview.example")
    (made,) = [c for c in await websites(server) if c.host == "preview.example"]
    status, text = await visit.get(f"{page}/preview?header_text={EVIL}")
    assert status == 200
    assert "<script>alert" not in text
    _, text = await visit.get(f"{page}/preview?color=%2314466b&header_text=Tom+%26+Ann")
    address = re.search(r'src="([^"]+preview\.js[^"]*)"', text)
    assert address is not None
    _, script = await visit.get(unescape(address[1]))
    assert '"#14466b"' in script
    assert '"Tom & Ann"' in script
    status, script = await visit.get(f"{page}/preview.js?header_text=Draft&color=nonsense")
    assert status == 200
    assert '"Draft"' in script
    assert "nonsense" not in script
    found = re.search(r'"token": ?"([^"]+)"', script)
    assert found is not None
    preview = next(c for c in await server.store.connectors() if c.token == found[1])
    assert (preview.environment, preview.project_id) == ("sandbox", made.project_id)
    async with MessagingClient(f"http://localhost:{server.port}", token=preview.token) as customer:
        await customer.start()
        await customer.expect("POLY_AGENT_MESSAGE")
    _, text = await visit.get("/studio/channels")
    assert preview.id not in text
    assert (await visit.get(f"/studio/channels/{preview.id}"))[0] == 404


async def test_an_api_key_is_shown_once_and_revoked(server: Server, visit: Visit) -> None:
    assert "There is no key" in (await visit.get("/studio/channels/keys"))[1]
    status, text = await visit.post("/studio/channels/keys", name="crm", key_project="")
    assert status == 200
    secret = re.search(r'value="(wlk_[^"]+)"', text)
    assert secret is not None
    assert secret[1] not in (await visit.get("/studio/channels/keys"))[1]
    assert (await visit.post("/studio/channels/keys", name="crm", key_project=""))[0] == 422
    assert (await visit.post("/studio/channels/keys", name="x", key_project="not a project"))[0] == 422
    assert (await visit.post("/studio/channels/keys/crm/revoke"))[0] == 303
    assert await server.store.api_keys() == []
    assert (await visit.post("/studio/channels/keys/crm/revoke"))[0] == 404
