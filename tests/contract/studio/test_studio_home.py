"""The start page: five steps, where each is done, and an emulated contact centre for those who have none."""

import re
from pathlib import Path

from support.installation import ROOT, emulator
from support.studio import Visit, add_user, studio_server
from warmline.cli.demo import connect_emulator
from warmline.ports import Role


async def test_the_emulator_beside_the_server_is_offered_until_something_is_connected(tmp_path: Path) -> None:
    async with emulator() as sim, studio_server(tmp_path) as server:
        await add_user(server, "admin@example.org", Role.ADMIN)
        await add_user(server, "editor@example.org", Role.EDITOR)
        async with Visit(server) as editor, Visit(server) as admin:
            await admin.sign_in("admin@example.org")
            await editor.sign_in("editor@example.org")
            assert "Connect the emulated one" not in (await admin.get("/studio/"))[1]
            assert "warmline demo" in (await admin.get("/studio/"))[1]
            assert (await admin.post("/studio/emulator"))[0] == 404

            server.studio.offer_emulator(lambda project: connect_emulator(server, sim, project))
            assert "Connect the emulated one" not in (await editor.get("/studio/"))[1]
            assert (await editor.post("/studio/emulator"))[0] == 403
            assert "Connect the emulated one" in (await admin.get("/studio/"))[1]
            assert (await admin.post("/studio/emulator"))[0] == 303
            (connection,) = await server.store.connections()
            assert (connection.project_id, connection.state) == (server.project_ids[0], "connected")
            page = (await admin.get("/studio/"))[1]
            assert "Connected: Webex emulator" in page
            assert "Connect the emulated one" not in page


async def test_a_topic_that_hands_over_by_itself_needs_no_function(tmp_path: Path) -> None:
    async with studio_server(tmp_path, ROOT / "examples" / "harbour-dental") as server:
        await add_user(server, "viewer@example.org", Role.VIEWER)
        async with Visit(server) as visit:
            await visit.sign_in("viewer@example.org")
            page = (await visit.get("/studio/"))[1]
            assert page.count('class="step done"') == 2
            assert "Found: topics that hand over without one" in page
            assert "Topics that lead to a human: Accident" in page


async def test_integrations_are_under_configure_as_the_five_steps_say(tmp_path: Path) -> None:
    async with studio_server(tmp_path) as server, Visit(server) as visit:
        await add_user(server, "viewer@example.org", Role.VIEWER)
        await visit.sign_in("viewer@example.org")
        _, page = await visit.get("/studio/integrations")
        _, found = await visit.get("/studio/")
        group = re.search(
            r'id="nav-configure">Configure</p>\s*<ul aria-labelledby="nav-configure">(.*?)</ul>', found, re.S
        )
        assert group is not None
        assert re.findall(r'href="([^"]+)"', group[1]) == [
            "/studio/channels",
            "/studio/integrations",
            "/studio/settings",
        ]
        assert 'href="/studio/integrations" aria-current="page"' in page
        assert ">Test chat</a>" not in found, "a viewer has none"
