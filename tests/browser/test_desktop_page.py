"""The agent desktop of the emulated Webex in a real browser (webex-byoc.md §19.1, §20.1)."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, WebSocketRoute, expect

from support.pages import stillness, until_page
from support.waiting import until
from support.webex_lab import Lab, webex_lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

BRIEF = "Reason: disputes a bill\n\nCustomer: my bill is <b>wrong</b>\nAssistant: I'll transfer you"


@pytest_asyncio.fixture(loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with webex_lab() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, lab: Lab) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1200, "height": 780}, locale="en-GB")
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    await page.goto(lab.sim.url + "/desktop/")
    yield page
    await context.close()
    assert problems == []


async def available(page: Page, name: str = "Maya Okafor") -> None:
    """Log in and start work."""
    await page.get_by_role("button", name=name).click()
    await page.get_by_text("Available", exact=True).click()
    await expect(page.get_by_role("radio", name="Available")).to_be_checked()


async def accepted(page: Page, lab: Lab, name: str = "Ann Lee", text: str = BRIEF) -> str:
    """Create a task and accept its offer."""
    task_id = await ringing(page, lab, name, text)
    await page.get_by_role("button", name="Accept").click()
    await expect(page.get_by_role("heading", name=name)).to_be_visible()
    return task_id


async def ringing(page: Page, lab: Lab, name: str = "Ann Lee", text: str = BRIEF) -> str:
    """Create a task and wait until it rings."""
    task_id = await lab.create(text, name=name, globalVariables={"reason": "billing"})
    await expect(page.get_by_role("article", name=f"Incoming conversation from {name}")).to_be_visible()
    return task_id


async def write(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_label("Message", exact=True).press("Enter")


def sent(lab: Lab) -> list[str]:
    hooks = lab.receiver.of("task-message:appended", "/asset")
    return [hook.data["channelParams"]["message"]["text"] for hook in hooks]


async def test_a_whole_conversation(page: Page, lab: Lab) -> None:
    await available(page)
    task_id = await ringing(page, lab)
    await expect(page).to_have_title(re.compile("Ann Lee"))
    await expect(page.locator("#announce-now")).to_have_text("Incoming conversation from Ann Lee")
    await page.get_by_role("button", name="Accept").click()
    opening = page.locator(".bubble.opening .bubble-text")
    await expect(opening).to_have_text(BRIEF)
    assert "\n\n" in await opening.inner_text(), "line breaks stay"
    assert await page.locator(".bubble b").count() == 0, "text is never HTML"
    await expect(page.get_by_text("billing", exact=True)).to_be_visible()

    await write(page, "Hello Ann <3")
    await expect(page.locator(".bubble.agent")).to_contain_text("Hello Ann <3")
    await until(lambda: sent(lab) == ["<p>Hello Ann &lt;3</p>"], "the message went out")
    await lab.append(task_id, "Thanks!")
    await expect(page.locator(".bubble.customer").last).to_contain_text("Thanks!")
    await expect(page.locator("#announce")).to_have_text("Ann Lee: Thanks!")

    await page.reload()
    await expect(page.locator(".bubble")).to_have_count(3)
    await expect(page.get_by_role("heading", name="Ann Lee")).to_be_visible()

    await page.get_by_role("button", name="End", exact=True).click()
    await page.get_by_role("button", name="Keep talking").click()
    assert (await lab.truth(task_id))["status"] == "connected"
    await page.get_by_role("button", name="End", exact=True).click()
    await page.get_by_role("button", name="End conversation").click()
    await expect(page.get_by_text("You ended this conversation.")).to_be_visible()
    await lab.arrived("task:ended", task_id)
    await page.get_by_role("button", name="Finish wrap-up").click()
    await expect(page.get_by_text("No conversations yet.")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", name="Who is working today?")).to_be_visible()


async def test_the_keyboard_is_enough(page: Page, lab: Lab) -> None:
    await page.get_by_role("button", name="Maya Okafor").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("radio", name="Idle")).to_be_checked()
    await page.get_by_role("radio", name="Idle").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("radio", name="Available")).to_be_checked()
    await ringing(page, lab)
    for _ in range(12):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent") == "Accept":
            break
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await page.keyboard.type("first")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("second")
    await page.keyboard.press("Enter")
    await until(lambda: sent(lab) == ["<p>first<br>second</p>"], "two lines")


async def test_several_conversations_with_waiting_times_and_drafts(page: Page, lab: Lab) -> None:
    await available(page)
    first = await accepted(page, lab, "Ann Lee")
    await page.get_by_label("Message", exact=True).fill("a draft for Ann")
    await accepted(page, lab, "Tom Berger", "hello")
    await expect(page.get_by_label("Message", exact=True)).to_have_value("")
    await lab.append(first, "are you there?")
    ann = page.get_by_role("navigation").get_by_role("button", name="Ann Lee")
    await expect(ann.get_by_label("1 unread")).to_be_visible()
    await expect(ann.locator(".wait")).to_have_text(re.compile(r"^0:\d\d$"))
    await ann.click()
    await expect(page.get_by_label("Message", exact=True)).to_have_value("a draft for Ann")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await expect(ann.get_by_label("1 unread")).to_have_count(0)
    await page.keyboard.press("Enter")
    await until(lambda: sent(lab) == ["<p>a draft for Ann</p>"], "sent")
    await expect(ann.locator(".wait")).to_have_count(0)


async def test_a_missed_offer_stops_the_ringing_until_the_agent_is_back(page: Page, lab: Lab) -> None:
    await available(page)
    task_id = await ringing(page, lab)
    await lab.control("POST", "/clock/advance", {"ms": 30_100})
    await expect(page.get_by_text("You missed or declined an offer")).to_be_visible()
    assert (await lab.truth(task_id))["status"] == "parked"
    await expect(page.get_by_role("list", name="Customers waiting by queue")).to_contain_text("1 waiting")
    await page.get_by_role("button", name="I'm available again").click()
    await page.get_by_role("button", name="Decline").click()
    await expect(page.get_by_text("You missed or declined an offer")).to_be_visible()


async def test_transfer_to_a_queue_and_to_an_agent(page: Page, lab: Lab) -> None:
    await available(page)
    task_id = await accepted(page, lab)
    await page.get_by_role("button", name="Transfer", exact=True).click()
    await expect(page.get_by_role("button", name="Transfer to Jonas Lindqvist")).to_be_disabled()
    await page.get_by_role("dialog").get_by_role("button", name="billing").click()
    await expect(page.get_by_text("No conversations yet.")).to_be_visible()
    assert (await lab.truth(task_id))["queue"] == "billing"
    second = await accepted(page, lab, "Tom Berger")
    await lab.available("agent-2")
    await page.get_by_role("button", name="Transfer", exact=True).click()
    await page.get_by_role("button", name="Transfer to Jonas Lindqvist").click()
    await expect(page.get_by_text("No conversations yet.")).to_be_visible()
    task = await lab.truth(second)
    assert (task["status"], task["agentId"]) == ("offered", "agent-2")


async def test_a_file_goes_to_the_customer(page: Page, lab: Lab, tmp_path: Path) -> None:
    await available(page)
    task_id = await accepted(page, lab)
    file = tmp_path / "bill.pdf"
    file.write_bytes(b"%PDF- the bill")
    second = tmp_path / "plan.png"
    second.write_bytes(b"\x89PNG")
    await page.get_by_label("Attach a file").set_input_files([file, second])
    await page.get_by_role("button", name="Remove plan.png").click()
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await page.keyboard.type("Here is your bill.")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="bill.pdf")).to_be_visible()
    [sent_message] = (await lab.truth(task_id))["transcript"][1:]
    assert [item["fileName"] for item in sent_message["attachments"]] == ["bill.pdf"]
    assert sent_message["text"] == "Here is your bill."


async def test_what_the_policy_refuses_stays_in_the_composer_with_the_reason(
    page: Page, lab: Lab, tmp_path: Path
) -> None:
    name = lab.values["channel_name"]
    await lab.config(channels=[{"name": name, "policy": {"maxChars": 20, "maxSingleBytes": 1000}}])
    await available(page)
    task_id = await accepted(page, lab, text="hello")
    for file_name, content in (("tool.exe", b"MZ"), ("large.pdf", b"x" * 1001), ("empty.pdf", b"")):
        (tmp_path / file_name).write_bytes(content)
    problem = page.locator("#refused")
    await page.get_by_label("Attach a file").set_input_files(tmp_path / "large.pdf")
    await expect(problem).to_have_text("large.pdf is too large: a file may have 1000 B.")
    await page.get_by_label("Attach a file").set_input_files(tmp_path / "empty.pdf")
    await expect(problem).to_have_text("empty.pdf is empty.")
    await page.get_by_label("Attach a file").set_input_files(tmp_path / "tool.exe")
    await write(page, "run this")
    await expect(problem).to_contain_text("is not allowed")
    await expect(page.get_by_label("Message", exact=True)).to_have_value("run this")
    await page.get_by_role("button", name="Remove tool.exe").click()
    await expect(problem).to_be_hidden()
    await page.get_by_label("Message", exact=True).fill("123456789012345678")
    await expect(page.get_by_text("2 characters left")).to_be_visible()
    await write(page, "1234567890123456789012")
    await expect(page.get_by_text("2 characters too many")).to_be_visible()
    await expect(problem).to_have_text("The maximum number of characters allowed is 20.")
    assert len((await lab.truth(task_id))["transcript"]) == 1
    await write(page, "short enough")
    await until(lambda: sent(lab) == ["<p>short enough</p>"], "sent")


async def test_a_message_written_while_the_network_is_gone_is_not_lost(page: Page, lab: Lab) -> None:
    await available(page)
    await accepted(page, lab)
    await page.context.set_offline(True)
    await write(page, "can you hear me?")
    await expect(page.locator("#refused")).to_have_text("The emulator cannot be reached.")
    await page.context.set_offline(False)
    await expect(page.get_by_label("Message", exact=True)).to_have_value("can you hear me?")
    await page.get_by_role("button", name="Send").click()
    await until(lambda: sent(lab) == ["<p>can you hear me?</p>"], "sent")
    await expect(page.locator("#refused")).to_be_hidden()


async def test_messages_written_in_haste_keep_their_order_also_when_they_come_back(page: Page, lab: Lab) -> None:
    held: list[Route] = []

    async def hold_the_first(route: Route) -> None:
        held.append(route)
        if len(held) > 1:
            await route.continue_()

    await available(page)
    await accepted(page, lab)
    await page.route("**/agents/agent-1/say", hold_the_first)
    for text in ("one", "two"):
        await write(page, text)
    await until(lambda: bool(held), "the first is on its way")
    await lab.quiet(0.2)
    assert len(held) == 1, "the second waits for the first"
    await held[0].continue_()
    await until(lambda: sent(lab) == ["<p>one</p>", "<p>two</p>"], "both in order")
    held.clear()
    for text in ("three", "four"):
        await write(page, text)
    await page.get_by_label("Message", exact=True).fill("five")
    await until(lambda: bool(held), "the first is on its way")
    await held[0].abort()
    await expect(page.get_by_label("Message", exact=True)).to_have_value("three\nfour\nfive")
    await expect(page.locator("#refused")).to_have_text("The emulator cannot be reached.")


async def test_the_agent_says_how_it_ended(page: Page, lab: Lab) -> None:
    await available(page)
    task_id = await accepted(page, lab)
    await lab.end(task_id)
    await expect(page.get_by_text("Ann Lee ended this conversation.")).to_be_visible()
    await expect(page.get_by_role("radio", name="Resolved")).to_be_checked()
    await page.get_by_role("radio", name="Resolved").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("radio", name="Needs a follow-up")).to_be_checked()
    await lab.create(name="Tom Berger")
    await expect(page.get_by_role("article", name="Incoming conversation from Tom Berger")).to_be_visible()
    await expect(page.get_by_role("radio", name="Needs a follow-up")).to_be_checked()
    await page.get_by_role("button", name="Finish wrap-up").click()
    await expect(page.get_by_role("heading", name="Ann Lee")).to_be_hidden()
    assert (await lab.truth(task_id))["wrapUpCode"] == "follow-up"


async def test_two_agents_in_two_tabs_consult_confer_and_hand_over(page: Page, lab: Lab) -> None:
    other = await page.context.new_page()
    await other.goto(lab.sim.url + "/desktop/")
    await page.bring_to_front()
    await available(page)
    task_id = await accepted(page, lab)
    await lab.available("agent-2")
    await page.get_by_role("button", name="Transfer", exact=True).click()
    await page.get_by_role("button", name="Consult Jonas Lindqvist").click()
    await expect(page.get_by_text("Jonas Lindqvist reads along.")).to_be_visible()
    await other.bring_to_front()
    await other.get_by_role("button", name="Jonas Lindqvist").click()
    await other.get_by_role("navigation").get_by_role("button", name="Ann Lee").click()
    await expect(other.get_by_text("Maya Okafor asks for your advice.")).to_be_visible()
    await expect(other.get_by_label("Message", exact=True)).to_be_hidden()
    await lab.append(task_id, "Is anybody there?")
    await expect(other.locator(".bubble").last).to_contain_text("Is anybody there?")
    await page.bring_to_front()
    await page.get_by_role("button", name="Bring in").click()
    await write(other, "Jonas here.")
    await expect(page.locator(".bubble").last).to_contain_text("Jonas here.")
    await until(lambda: sent(lab) == ["<p>Jonas here.</p>"], "the customer hears the second agent")
    await page.get_by_role("button", name="Hand over").click()
    await expect(page.get_by_text("No conversations yet.")).to_be_visible()
    await expect(other.get_by_role("button", name="End", exact=True)).to_be_visible()
    await expect(other.locator("#second")).to_be_hidden()
    await other.reload()
    await expect(other.get_by_role("heading", name="Ann Lee")).to_be_visible()
    assert (await lab.truth(task_id))["agentId"] == "agent-2"
    await other.close()


async def test_the_queue_and_the_offer_tell_how_long_customers_wait(page: Page, lab: Lab) -> None:
    await page.get_by_role("button", name="Maya Okafor").click()
    await lab.create(name="Ann Lee")
    queue = page.get_by_role("list", name="Customers waiting by queue")
    await expect(queue).to_contain_text("1 waiting")
    await lab.control("POST", "/clock/advance", {"ms": 95_000})
    await page.reload()
    await expect(queue.locator(".longest")).to_have_text(re.compile(r"^[12]:\d\d$"))
    await page.get_by_text("Available", exact=True).click()
    offer = page.get_by_role("article", name="Incoming conversation from Ann Lee")
    await expect(offer).to_contain_text(re.compile(r"here for [12]:\d\d"))
    await expect(offer.get_by_role("timer")).to_have_text(re.compile(r"^(30|[12]?\d)$"))


async def test_the_page_survives_a_lost_connection_and_a_reset(page: Page, lab: Lab) -> None:
    sockets: list[WebSocketRoute] = []
    is_cut = False

    async def pass_on(socket: WebSocketRoute) -> None:
        if is_cut:
            await socket.close()
            return
        sockets.append(socket)
        socket.connect_to_server()

    await page.route_web_socket("**/desktop/ws*", pass_on)
    await page.reload()
    await available(page)
    task_id = await accepted(page, lab)
    await page.get_by_label("Message", exact=True).fill("half a sentence")
    is_cut = True
    await sockets[-1].close()
    await expect(page.get_by_text("Connection lost")).to_be_visible()
    await lab.append(task_id, "while you were away")
    is_cut = False
    await expect(page.locator(".bubble").last).to_contain_text("while you were away")
    await expect(page.get_by_text("Connection lost")).to_be_hidden()
    await expect(page.get_by_label("Message", exact=True)).to_have_value("half a sentence")
    await lab.control("POST", "/reset")
    await expect(page.get_by_role("heading", name="Who is working today?")).to_be_visible()


async def test_the_composer_gets_the_focus_when_the_news_come_after_the_answer(page: Page, lab: Lab) -> None:
    held: list[str | bytes] | None = None
    sockets: list[WebSocketRoute] = []

    async def pass_on(socket: WebSocketRoute) -> None:
        def news(message: str | bytes) -> None:
            socket.send(message) if held is None else held.append(message)

        sockets.append(socket)
        socket.connect_to_server().on_message(news)

    await page.route_web_socket("**/desktop/ws*", pass_on)
    await page.reload()
    await available(page)
    await ringing(page, lab)
    held = []
    async with page.expect_response("**/agents/agent-1/accept") as answer:
        await page.get_by_role("button", name="Accept").click()
    await (await answer.value).finished()
    await page.wait_for_function("sessionStorage.getItem('selected')")
    await expect(page.get_by_label("Message", exact=True)).to_be_hidden()
    late, held = held, None
    for message in late:
        sockets[-1].send(message)
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
async def test_it_fits_and_is_accessible(page: Page, lab: Lab, scheme: str, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 740})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    await axe_finds_nothing(page, width)
    await available(page)
    await accepted(page, lab)
    await write(page, "Hello Ann")
    await expect(page.locator(".bubble.agent")).to_be_visible()
    await ringing(page, lab, "Tom Berger", "hello")
    await expect(page.get_by_role("button", name="Accept")).to_be_in_viewport()
    await expect(page.get_by_label("Message", exact=True)).to_be_in_viewport()
    await axe_finds_nothing(page, width)
    await page.get_by_role("button", name="Transfer", exact=True).click()
    await axe_finds_nothing(page, width)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="End", exact=True).click()
    await page.get_by_role("button", name="End conversation").click()
    await expect(page.get_by_role("button", name="Finish wrap-up")).to_be_in_viewport()
    await axe_finds_nothing(page, width)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
async def test_two_agents_files_and_refusals_fit_and_are_accessible(
    page: Page, lab: Lab, tmp_path: Path, scheme: str, width: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 740})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    await available(page)
    task_id = await accepted(page, lab)
    await lab.available("agent-2")
    await page.get_by_role("button", name="Transfer", exact=True).click()
    await axe_finds_nothing(page, width)
    await page.get_by_role("button", name="Consult Jonas Lindqvist").click()
    for number in range(8):
        await lab.append(task_id, f"Line {number} of what I have to say about my bill of this month")
    file = tmp_path / "a-tool-with-a-very-long-name-that-nobody-would-ever-type-by-hand.exe"
    file.write_bytes(b"MZ")
    await page.get_by_label("Attach a file").set_input_files(file)
    await write(page, "run\nthis\nas\nsoon\nas\nyou can")
    await expect(page.locator("#refused")).to_be_visible()
    await expect(page.locator(".bubble").last).to_be_in_viewport(ratio=0.9)
    await expect(page.get_by_role("button", name="Send")).to_be_in_viewport()
    await expect(page.get_by_role("button", name="Hand over")).to_be_in_viewport()
    await axe_finds_nothing(page, width)
    assert (await lab.truth(task_id))["consultedAgentId"] == "agent-2"


async def test_files_can_be_dropped_and_pasted(page: Page, lab: Lab) -> None:
    await available(page)
    task_id = await accepted(page, lab)
    for kind, where in (("drop", "#transcript"), ("paste", "#text")):
        await page.evaluate(
            """([kind, where]) => {
              const data = new DataTransfer();
              data.items.add(new File(["month,sum"], `${kind}.csv`, { type: "text/csv" }));
              const target = document.querySelector(where);
              const event = kind === "paste"
                ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
                : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
              target.dispatchEvent(event);
            }""",
            [kind, where],
        )
    await expect(page.get_by_role("list", name="Files to send").get_by_role("listitem")).to_have_count(2)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("link", name="drop.csv")).to_be_visible()
    files = (await lab.truth(task_id))["transcript"][-1]["attachments"]
    assert [item["fileName"] for item in files] == ["drop.csv", "paste.csv"]


async def axe_finds_nothing(page: Page, width: int) -> None:
    """The page is not wider than the window, and axe finds nothing."""
    await stillness(page)
    await until_page(page, f"document.documentElement.scrollWidth <= {width}")
    found = (await Axe().run(page)).response["violations"]
    assert found == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in found]


async def test_the_details_never_cover_the_composer_and_close_by_escape(page: Page, lab: Lab) -> None:
    for width in (820, 360):
        await page.set_viewport_size({"width": width, "height": 640})
        if width == 820:
            await available(page)
            await accepted(page, lab)
        await page.get_by_role("button", name="Customer details").click()
        await expect(page.get_by_role("complementary").get_by_text("billing")).to_be_visible()
        await page.get_by_label("Message", exact=True).click(trial=True)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("complementary")).to_be_hidden()
