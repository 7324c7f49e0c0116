"""Makes docs/images/studio-*.webp: the Studio's pages with something in them.

Usage: .venv/bin/python tools/studio_sheet.py [--all FOLDER]

With --all, every page below /studio/ is also photographed in light, in dark and at a phone's width, to be looked at.
"""

import argparse
import asyncio
import io
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.chromium import launch_chromium  # noqa: E402
from support.desk import Desk  # noqa: E402
from support.installation import LUMEN, emulator  # noqa: E402
from support.studio import PASSWORD, add_user, studio_server  # noqa: E402
from warmline.app import Server  # noqa: E402
from warmline.channels.sms import setup  # noqa: E402
from warmline.cli.demo import connect_emulator  # noqa: E402
from warmline.domain.catalog import Entry, Followed, HandoffFacts, Outcome, Stage  # noqa: E402
from warmline.emulators.sms import SmsSettings, demo_values  # noqa: E402
from warmline.emulators.webex import RunningSim  # noqa: E402
from warmline.ports import Connector, Receiver, Role, SessionInfo  # noqa: E402
from warmline.studio.guard import needed_role  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LIMIT_BYTES = 90_000
_WINDOW = {"width": 1280, "height": 860}
_LOOKS = {
    "light": ({"width": 1280, "height": 860}, "light"),
    "dark": ({"width": 1280, "height": 860}, "dark"),
    "phone": ({"width": 390, "height": 800}, "light"),
}
_HEIGHTS = {"conversation": 1200}
"""In pixels, of pages of which less says too little."""
_DAY_MS = 86_400_000
_REASONS = ("dispute a bill", "dispute a bill", "moving home", "power cut", "asked for a person")
_PICTURES = {
    "home": "",
    "conversations": "conversations",
    "conversation": "conversations/{session}",
    "dashboard": "dashboard",
    "knowledge": "knowledge/topic/topics/dispute_a_bill.yaml",
    "functions": "functions/edit/functions/dispute_bill.py",
    "channels": "channels/{connector}",
    "integrations": "integrations",
    "health": "settings/health",
    "hooks": "settings/hooks/{receiver}",
}


class Town:
    """A server with conversations of a week and some that go on, an emulated Webex, and somebody at its desktop."""

    def __init__(self, server: Server, sim: RunningSim) -> None:
        self.server = server
        self.sim = sim
        self.project = server.project_ids[0]
        self.ids: dict[str, str] = {}

    async def fill(self) -> None:
        """Let things happen."""
        connection = await connect_emulator(self.server, self.sim)
        connector = Connector(
            id="web",
            token="demo-connector-token",  # noqa: S106  (public by nature)
            project_id=self.project,
            host="www.lumen-energy.example",
            agent_name="Lumi",
            settings={"widget": {"header_text": "Lumen Energy", "color": "#14466b"}},
        )
        await self.server.store.save_connector(connector)
        await self._last_week(connection.id)
        async with Desk(self.sim.url) as maya:
            await maya.ready()
            session = await self.talk("What tariffs do you have?", "I want to dispute my bill")
            task = await maya.take()
            await maya.say(task, "Hello, this is Maya. Which bill is it?")
            await self.server.conversations.post(session, "The one of March: it is twice as high as usual.")
            await maya.until_heard(task, ["The one of March: it is twice as high as usual."])
            await maya.say(task, "I see it: the reading was estimated. I have corrected it.")
            await asyncio.sleep(0.5)
            await self.talk("I want to dispute my bill")
            await self.talk("When are you open?")
            await self.talk("I am moving home next month")
        numbers = demo_values(SmsSettings(), "http://localhost:1")
        text = await setup.save(
            self.server.store, self.server.clock, self.server.ids, self.project, numbers, "Texts", relaxed=True
        )
        receiver = Receiver(
            id="crm",
            name="CRM",
            url="https://crm.lumen-energy.example/warmline",
            kinds=("handoff.requested", "live_agent.joined", "session.ended"),
            created_at=self.server.clock.now(),
            paused=True,
        )
        await self.server.store.save_receiver(receiver)
        self.ids = {
            "receiver": receiver.id,
            "session": session,
            "connection": connection.id,
            "connector": "web",
            "sms": text.id,
        }
        await self.server.catalog.write()

    async def talk(self, *texts: str) -> str:
        """A customer of the website; each text waits for the answer to the one before."""
        service = self.server.conversations
        info = SessionInfo(connector_id="web", project_id=self.project, subject="somebody")
        session_id = await service.start(info)
        await service.join(
            session_id, Connector(id="web", token="", project_id=self.project, host="", agent_name="Lumi")
        )
        await asyncio.sleep(0.3)
        for text in texts:
            await service.post(session_id, text)
            await asyncio.sleep(0.4)
        return session_id

    async def _last_week(self, connection_id: str) -> None:
        """Numbers for the dashboard: the catalog's entries of conversations that ended in the last days."""
        dice, now = random.Random(7), self.server.clock.now()
        followed = []
        for number in range(340):
            at = now - dice.randrange(_DAY_MS // 12, 7 * _DAY_MS)
            handoff = None
            if dice.random() < 0.32:
                outcome = dice.choices(
                    (Outcome.COMPLETED, Outcome.TIMED_OUT, Outcome.CUSTOMER_LEFT, Outcome.FAILED), (90, 4, 5, 1)
                )[0]
                joined = at + dice.randrange(8_000, 95_000) if outcome is Outcome.COMPLETED else 0
                handoff = HandoffFacts(
                    id=f"past-{number}",
                    session_id=f"past-{number}",
                    project_id=self.project,
                    connection_id=connection_id,
                    reason=dice.choice(_REASONS),
                    requested_at=at,
                    accepted_at=at + dice.randrange(180, 900),
                    joined_at=joined,
                    ended_at=at + 400_000,
                    outcome=outcome,
                )
            entry = Entry(
                session_id=f"past-{number}",
                project_id=self.project,
                channel=dice.choice(("webchat.polyai", "webchat.polyai", "sms.polyai")),
                stage=Stage.ENDED,
                started_at=at,
                updated_at=at + 400_000,
                ended_at=at + 400_000,
                end_reason="REASON_NATURAL_END",
                messages=dice.randrange(3, 20),
                last_author="customer",
                last_text="Thank you!",
                handoff=handoff,
                sequence=1,
            )
            followed.append(Followed(entry=entry, handoffs=(handoff,) if handoff else ()))
        await self.server.store.save_catalog(followed)


async def signed_in(browser: Browser, town: Town, look: str) -> Page:
    """A page of the Studio."""
    window, scheme = _LOOKS[look]
    context = await browser.new_context(viewport=window, color_scheme=scheme, locale="en-GB")  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(f"http://localhost:{town.server.port}/studio/")
    await page.get_by_label("User name").fill("ada@lumen-energy.example")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("nav").first).to_be_attached()
    return page


def filled_in(path: str, ids: Mapping[str, str]) -> str:
    """The path with its placeholders replaced; "" when one of them is not known."""
    names = re.findall(r"\{(\w+)[^}]*\}", path)
    if not all(ids.get(name) for name in names):
        return ""
    return re.sub(r"\{(\w+)[^}]*\}", lambda match: ids[match[1]], path)


async def take(page: Page, town: Town, path: str, *, whole: bool) -> Image.Image:
    """A picture of a page."""
    await page.goto(f"http://localhost:{town.server.port}/studio/{path}")
    await page.wait_for_timeout(700)
    return Image.open(io.BytesIO(await page.screenshot(full_page=whole))).convert("RGB")


async def try_the_agent(page: Page, town: Town) -> str:
    """A test chat; gives its address below /studio/."""
    await page.goto(f"http://localhost:{town.server.port}/studio/test-chat")
    await page.get_by_label("Hand over to the real contact centre.").uncheck()
    await page.get_by_role("button", name="Start", exact=True).click()
    for text in ("What tariffs do you have?", "I want to dispute my bill"):
        await page.get_by_label("Message", exact=True).fill(text)
        await page.keyboard.press("Enter")
        await page.wait_for_timeout(900)
    return page.url.partition("/studio/")[2]


def save(picture: Image.Image, name: str) -> None:
    """Write a picture for the documents. Raises SystemExit when it is too large."""
    target = IMAGES / f"studio-{name}.webp"
    picture.save(target, quality=78, method=6)
    size = target.stat().st_size
    print(f"{target.relative_to(ROOT)}: {size / 1000:.0f} kB")
    if size > LIMIT_BYTES:
        raise SystemExit("too large")


async def photograph_all(browser: Browser, town: Town, chat: str, folder: Path) -> None:
    """Every page in every look."""
    studio = town.server.studio.application
    paths = {}
    for route in studio.router.routes():
        if route.method == "GET" and route.resource is not None and needed_role(studio, route.handler) is not None:
            path = route.resource.canonical.removeprefix("/studio/")
            ids = {**town.ids, **_files(path), "session": chat if "test-chat" in path else town.ids["session"]}
            if "channels/sms" in path:
                ids["connection"] = town.ids["sms"]
            name = re.sub(r"\W+", "-", path).strip("-") or "start"
            if not path.endswith((".js", ".csv", ".txt", ".json", "live", "/findings")) and (
                not path or filled_in(path, ids)
            ):
                paths[name] = filled_in(path, ids)
    folder.mkdir(parents=True, exist_ok=True)
    for look in _LOOKS:
        page = await signed_in(browser, town, look)
        for name, path in paths.items():
            (await take(page, town, path, whole=True)).save(folder / f"{name}.{look}.png")


def _files(path: str) -> dict[str, str]:
    """Things of the example project that a path may name."""
    user = {"provider": "webex", "user": "ada@lumen-energy.example", "table": "variants", "name": ""}
    if path.startswith("knowledge"):
        return user | {"file": "topics/dispute_a_bill.yaml"}
    if path.startswith("functions"):
        return user | {"file": "functions/dispute_bill.py"}
    return user


async def photograph_another(browser: Browser, folder: Path) -> None:
    """The pictures of a flow and a table of another example: the one with the most to draw."""
    project = LUMEN.parent / "corner-cycles"
    folder.mkdir()
    async with studio_server(folder, project) as server:
        await add_user(server, "ada@lumen-energy.example", Role.ADMIN)
        async with emulator() as sim:
            town = Town(server, sim)
            page = await signed_in(browser, town, "light")
            save(await take(page, town, "flows/show/collection", whole=False), "flows")
            save(await take(page, town, "tables/sms_templates/row/directions", whole=False), "tables")


async def main(everything: Path | None) -> None:
    """Start, fill, photograph."""
    with tempfile.TemporaryDirectory() as folder:
        projects = Path(folder) / "projects"
        shutil.copytree(LUMEN, projects / "lumen-energy")
        async with emulator() as sim, studio_server(Path(folder), projects) as server, async_playwright() as playwright:
            await add_user(server, "ada@lumen-energy.example", Role.ADMIN)
            await add_user(server, "ben@lumen-energy.example", Role.EDITOR)
            town = Town(server, sim)
            await town.fill()
            browser = await launch_chromium(playwright)
            page = await signed_in(browser, town, "light")
            chat = await try_the_agent(page, town)
            save(await take(page, town, chat, whole=False), "test-chat")
            for name, path in _PICTURES.items():
                await page.set_viewport_size(
                    {"width": _WINDOW["width"], "height": _HEIGHTS.get(name, _WINDOW["height"])}
                )
                save(await take(page, town, filled_in(path, town.ids), whole=False), name)
            if everything is not None:
                await photograph_all(browser, town, chat.partition("/")[2].partition("?")[0], everything)
            await photograph_another(browser, Path(folder) / "flows")
            await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER", dest="everything", help="photograph every page there")
    asyncio.run(main(parser.parse_args().everything))
