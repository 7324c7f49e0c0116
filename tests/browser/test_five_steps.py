"""The five verify steps in a real browser, with the very command of the README (webex-byoc.md A-87).

Each test has a visitor's page with the widget and a live agent's desktop, on a real `warmline demo`.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, FilePayload, FrameLocator, Locator, Page, expect

from support.customer import bubbles, send
from support.demo import Demo
from support.fake_messaging import PIXEL
from support.installation import DISPUTE, TRANSFER
from support.pages import until_page
from support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREETING = "Hi, I'm the virtual agent of Lumen Energy."
AGENT = "Maya Okafor"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """The demo, one for the file. Nothing that happens here may make it complain."""
    running = Demo(tmp_path_factory.mktemp("demo") / "data")
    await running.start()
    yield running
    code = await running.interrupt()
    output = "".join(running.output)
    assert code == 0, output
    assert "Traceback" not in output
    assert "[error" not in output


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser whose pages have room for the website alone. Script errors fail the test."""
    problems: list[str] = []
    context = await browser.new_context(viewport={"width": 1000, "height": 800}, locale="en-GB")
    context.on("weberror", lambda error: problems.append(str(error.error)))
    context.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    yield context
    await context.close()
    assert problems == []


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> Page:
    """The visitor's page."""
    return await context.new_page()


@dataclass(frozen=True, slots=True)
class Agent:
    """A live agent at the desktop, which is a page of its own or a frame in the demo's page."""

    view: Page | FrameLocator

    async def start_work(self) -> None:
        """Log in and become available."""
        await self.view.get_by_role("button", name=AGENT).click()
        await self.view.get_by_text("Available", exact=True).click()
        await expect(self.view.get_by_role("radio", name="Available")).to_be_checked()

    @property
    def offer(self) -> Locator:
        """The conversation that rings."""
        return self.view.get_by_role("article", name="Incoming conversation from Webchat visitor")

    @property
    def composer(self) -> Locator:
        """Where the agent writes."""
        return self.view.get_by_label("Message", exact=True)

    async def accept(self) -> None:
        """Take what rings."""
        await self.offer.get_by_role("button", name="Accept").click()
        await expect(self.composer).to_be_visible()

    async def say(self, text: str) -> None:
        """Write to the customer."""
        await self.composer.fill(text)
        await self.composer.press("Enter")

    async def heard(self, *texts: str) -> None:
        """Wait until the customer's words since the brief are exactly these."""
        customer = self.view.locator(".bubble.customer:not(.opening) .bubble-text")
        await expect(customer).to_have_text(list(texts))

    async def end(self) -> None:
        """End the conversation."""
        await self.view.get_by_role("button", name="End", exact=True).click()
        await self.view.get_by_role("button", name="End conversation").click()

    async def wrap_up(self) -> None:
        """Finish the work after the conversation."""
        await self.view.get_by_role("button", name="Finish wrap-up").click()
        await expect(self.view.get_by_text("No conversations yet.")).to_be_visible()

    async def leave(self) -> None:
        """Log out, so that the next test begins without agents."""
        await self.view.get_by_role("button", name="Log out").click()
        await expect(self.view.get_by_role("heading", name="Who is working today?")).to_be_visible()


@pytest_asyncio.fixture(loop_scope="module")
async def agent(context: BrowserContext, demo: Demo) -> Agent:
    """An agent who is available, at a desktop in a page of its own."""
    desktop = await context.new_page()
    await desktop.goto(demo.desktop_url)
    agent = Agent(desktop)
    await agent.start_work()
    return agent


async def visit(page: Page, url: str) -> None:
    """Load the supplier's page, open the chat, wait for the greeting."""
    await page.goto(url)
    await page.get_by_role("button", name="Open chat").click()
    await greeted(page)


async def greeted(page: Page) -> None:
    await expect(bubbles(page)).to_have_count(1)
    await expect(bubbles(page)).to_contain_text(GREETING)


def line(page: Page, text: str) -> Locator:
    """A line between the messages, such as "Maya joined"."""
    return page.locator("#poly-ai-chat .line-text", has_text=text)


async def said(page: Page, *texts: str) -> None:
    """Wait until the widget shows exactly these messages after the greeting, in this order."""
    await expect(bubbles(page)).to_have_text([re.compile("^" + re.escape(GREETING)), *texts])


async def talk_to_a_human(page: Page, url: str, agent: Agent) -> None:
    """A visitor disputes a bill and is answered by the agent."""
    await visit(page, url)
    await send(page, DISPUTE)
    await agent.accept()
    await expect(line(page, "Maya joined")).to_be_visible()


async def close_down(page: Page, agent: Agent) -> None:
    """End on the desktop and go home."""
    await agent.end()
    await expect(page.get_by_role("button", name="Start a new conversation")).to_be_visible()
    await agent.wrap_up()
    await agent.leave()


async def test_A87_five_steps_on_one_screen(page: Page, demo: Demo) -> None:
    await page.set_viewport_size({"width": 1440, "height": 900})
    agent = Agent(page.frame_locator("iframe[title='Agent desktop']"))

    # 1: start a session and reach the topic.
    await visit(page, demo.page_url)
    await agent.start_work()
    await page.get_by_label("Your message").fill(DISPUTE)
    await page.get_by_role("button", name="Send message").click()
    await said(page, DISPUTE, TRANSFER)

    # 2: it rings on the desktop, with what was said so far.
    await expect(agent.offer).to_contain_text("Queue support")
    await expect(agent.offer).to_contain_text(DISPUTE)
    await expect(line(page, "Waiting for an agent")).to_be_visible()
    await agent.accept()
    opening = agent.view.locator(".bubble.opening .bubble-text")
    await expect(opening).to_contain_text("Conversation so far:")
    brief = await opening.inner_text()
    assert brief.startswith("Conversation so far:\n")
    places = [brief.index(words) for words in (GREETING, f"Customer: {DISPUTE}", f"Assistant: {TRANSFER}")]
    assert places == sorted(places)
    await expect(line(page, "Maya joined")).to_be_visible()
    dialog = page.get_by_role("dialog", name="Chat with us")
    await expect(dialog.get_by_role("heading", name="Maya")).to_be_visible()

    # 3: the reply arrives in the same widget, the answer on the desktop.
    await agent.say("Hello, I am Maya. Which bill is it?")
    await said(page, DISPUTE, TRANSFER, "Hello, I am Maya. Which bill is it?")
    await send(page, "The one of March.")
    await agent.heard("The one of March.")
    await expect(page.locator("#poly-ai-chat .status")).to_have_text("Delivered")

    # 4: end closes the widget, which offers a new conversation.
    await agent.end()
    await expect(line(page, "Maya left the conversation")).to_be_in_viewport()
    await expect(dialog.get_by_text("This conversation has ended").last).to_be_visible()
    await expect(page.get_by_label("Your message")).to_have_count(0)
    await agent.wrap_up()
    await page.get_by_role("button", name="Start a new conversation").click()
    await greeted(page)

    # 5: the customer ends first, and the desktop's conversation closes.
    await send(page, DISPUTE)
    await agent.accept()
    await expect(line(page, "Maya joined")).to_be_visible()
    await page.get_by_role("button", name="More options").click()
    await page.get_by_role("button", name="End conversation", exact=True).click()
    await page.get_by_role("button", name="End", exact=True).click()
    await expect(page.get_by_role("button", name="Start a new conversation")).to_be_visible()
    await expect(agent.view.get_by_text("Webchat visitor ended this conversation.")).to_be_visible()
    await agent.wrap_up()
    await agent.leave()


async def test_a_reload_in_the_middle_keeps_everything_in_order(page: Page, demo: Demo, agent: Agent) -> None:
    await talk_to_a_human(page, demo.page_url, agent)
    await agent.say("one")
    await said(page, DISPUTE, TRANSFER, "one")
    await send(page, "two")
    await agent.heard("two")
    await page.reload()
    await said(page, DISPUTE, TRANSFER, "one", "two")
    await expect(line(page, "Maya joined")).to_have_count(1)
    await agent.say("three")
    await send(page, "four")
    await agent.heard("two", "four")
    await expect(bubbles(page)).to_have_count(7)
    after = await bubbles(page).all_inner_texts()
    assert after[1:5] == [DISPUTE, TRANSFER, "one", "two"]
    assert sorted(after[5:]) == ["four", "three"]
    await close_down(page, agent)


async def test_a_network_cut_loses_nothing(page: Page, demo: Demo, agent: Agent) -> None:
    async with TcpProxy(demo.port) as network:
        await talk_to_a_human(page, f"http://localhost:{network.port}/", agent)
        network.refusing = True
        network.cut()
        await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
        await agent.say("Are you still there?")
        await send(page, "The train is in a tunnel.")
        await expect(page.locator("#poly-ai-chat .status")).to_have_text("Waiting for the connection")
        network.refusing = False
        await agent.heard("The train is in a tunnel.")
        await expect(bubbles(page)).to_have_count(5)
        assert sorted((await bubbles(page).all_inner_texts())[3:]) == [
            "Are you still there?",
            "The train is in a tunnel.",
        ]
        await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_hidden()
        await close_down(page, agent)


async def tab_to(page: Page, target: Locator, limit: int = 60) -> None:
    """Press Tab until `target` has the focus."""
    await expect(target).to_be_visible()
    for _ in range(limit):
        if await target.evaluate("e => e.getRootNode().activeElement === e"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reached {target}")


async def test_the_keyboard_is_enough_for_both(page: Page, context: BrowserContext, demo: Demo) -> None:
    desktop = await context.new_page()
    await desktop.goto(demo.desktop_url)
    agent = Agent(desktop)
    await tab_to(desktop, desktop.get_by_role("button", name=AGENT))
    await desktop.keyboard.press("Enter")
    await tab_to(desktop, desktop.get_by_role("radio", name="Idle"))
    await desktop.keyboard.press("ArrowLeft")

    await page.bring_to_front()
    await page.goto(demo.page_url)
    await expect(page.get_by_role("button", name="Open chat")).to_be_visible()
    await tab_to(page, page.get_by_role("button", name="Open chat"))
    await page.keyboard.press("Enter")
    await greeted(page)
    await expect(page.get_by_label("Your message")).to_be_focused()
    await page.keyboard.type(DISPUTE)
    await page.keyboard.press("Enter")

    await desktop.bring_to_front()
    await expect(agent.offer).to_be_visible()
    await tab_to(desktop, agent.offer.get_by_role("button", name="Accept"))
    await desktop.keyboard.press("Enter")
    await expect(agent.composer).to_be_focused()
    await desktop.keyboard.type("Hello!")
    await desktop.keyboard.press("Enter")

    await page.bring_to_front()
    await said(page, DISPUTE, TRANSFER, "Hello!")
    await expect(page.get_by_label("Your message")).to_be_focused()
    await page.keyboard.type("Hi Maya")
    await page.keyboard.press("Enter")
    await agent.heard("Hi Maya")
    menu = page.get_by_role("button", name="More options")
    for _ in range(6):
        if await menu.evaluate("e => e.getRootNode().activeElement === e"):
            break
        await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Save the conversation")).to_be_focused()
    for _ in range(2):
        await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="End conversation", exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="End", exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Start a new conversation")).to_be_focused()
    await page.keyboard.press("Enter")
    await greeted(page)
    await expect(page.get_by_label("Your message")).to_be_focused()

    await desktop.bring_to_front()
    await tab_to(desktop, desktop.get_by_role("button", name="Finish wrap-up"))
    await desktop.keyboard.press("Enter")
    await agent.leave()


async def test_on_a_phone(browser: Browser, demo: Demo, agent: Agent) -> None:
    phone = await browser.new_context(
        viewport={"width": 390, "height": 760}, is_mobile=True, has_touch=True, locale="en-GB"
    )
    page = await phone.new_page()
    await page.goto(demo.page_url)
    await page.get_by_role("button", name="Open chat").tap()
    await greeted(page)
    size = "e => [e.offsetWidth, e.offsetHeight, innerWidth, innerHeight]"
    width, height, *window = await page.get_by_role("dialog", name="Chat with us").evaluate(size)
    assert [width, height] == window, "the chat covers the page"
    await page.get_by_role("button", name=DISPUTE).last.tap()
    await agent.accept()
    await agent.say("Hello!")
    await said(page, DISPUTE, TRANSFER, "Hello!")
    await expect(bubbles(page).last).to_be_in_viewport()
    await page.get_by_label("Your message").fill("Hi Maya")
    await page.get_by_role("button", name="Send message").tap()
    await agent.heard("Hi Maya")
    await until_page(page, "document.documentElement.scrollWidth", 390)
    await close_down(page, agent)
    await phone.close()


async def test_the_virtual_agent_answers_what_it_knows(page: Page, demo: Demo) -> None:
    await visit(page, demo.page_url)
    answer = bubbles(page).last

    await send(page, "What tariffs do you have?")
    await expect(answer).to_contain_text("Lumen Standard costs 24.8p per kWh with no exit fee.")
    await expect(answer.locator("strong").first).to_have_text("Lumen Standard")

    await send(page, "The lights went out in our street")
    await expect(answer).to_contain_text("Could you tell me your postcode, please?")
    await send(page, "LS6 3AB")
    await expect(answer).to_contain_text("there is a power cut at LS6 3AB because of storm damage. 1,240 homes")
    map_link = page.get_by_role("link", name=re.compile("Live map of the power cut"))
    await expect(map_link).to_have_attribute("href", "https://www.lumen-energy.example/outages/headingley")
    await expect(page.get_by_role("button", name="Thanks, that's all")).to_be_visible()

    await send(page, "we are moving to a new house in June")
    await expect(answer).to_contain_text("Would you like me to send you the moving form?")
    await send(page, "yes please")
    await expect(answer).to_contain_text("Here is the moving form.")
    await expect(page.get_by_role("link", name=re.compile("Moving form"))).to_be_visible()

    await send(page, "Can you recommend a restaurant?")
    await expect(answer).to_contain_text("I'm sorry, I don't have information about that.")
    await expect(page.get_by_role("dialog").get_by_text("Virtual agent", exact=True)).to_be_visible()


async def test_the_widget_comes_back_after_a_restart(page: Page, context: BrowserContext, demo: Demo) -> None:
    desktop = await context.new_page()
    await desktop.goto(demo.desktop_url)
    await visit(page, demo.page_url)
    assert await demo.interrupt() == 0
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
    await send(page, "When are you open?")
    await demo.start()
    # Its pauses between attempts double: after a slow start the next one may be half a minute away.
    await expect(bubbles(page).nth(2)).to_contain_text("Monday to Friday", timeout=90_000)
    await expect(bubbles(page)).to_have_count(3)
    await expect(desktop.get_by_role("button", name=AGENT)).to_be_visible()
    await expect(desktop.get_by_text("Reconnecting")).to_be_hidden()


async def test_A28_files_go_both_ways_between_the_widget_and_the_desktop(page: Page, demo: Demo, agent: Agent) -> None:
    attach = page.get_by_role("button", name="Attach a file")
    await visit(page, demo.page_url)
    await expect(attach).to_have_count(0)
    await send(page, DISPUTE)
    await agent.accept()
    async with page.expect_file_chooser() as chooser:
        await attach.click()
    await (await chooser.value).set_files(files=[{"name": "meter.png", "mimeType": "image/png", "buffer": PIXEL}])
    await expect(agent.view.locator(".bubble.customer .file")).to_contain_text("meter.png")
    await expect(page.locator("#poly-ai-chat .status")).to_have_text("Delivered")

    table: FilePayload = {"name": "bill.csv", "mimeType": "text/csv", "buffer": b"month,sum\nMarch,41\n"}
    picture: FilePayload = {"name": "bill.png", "mimeType": "image/png", "buffer": PIXEL}
    for file in (picture, table):
        await agent.view.get_by_label("Attach a file").set_input_files([file])
        await agent.view.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("link", name=file["name"])).to_be_visible()
    for name in ("meter.png", "bill.png"):
        shown = page.get_by_role("link", name=name).get_by_role("img")
        assert await shown.evaluate("async (img) => { await img.decode(); return img.naturalWidth }") == 1
    async with page.expect_download() as download, page.context.expect_page():
        await page.get_by_role("link", name="bill.csv").click()
    saved = await download.value
    assert saved.suggested_filename == "bill.csv"
    await close_down(page, agent)
