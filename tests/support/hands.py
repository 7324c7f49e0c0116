"""Two ways of using a page as people do: with the mouse, and with the keyboard alone."""

from typing import Protocol

from playwright.async_api import Locator, Page, expect

from support.pages import follow

_MOST_STOPS = 200
_STEP = """(wanted, from) => {
    const deepest = (element) => {
        while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
        return element;
    };
    const outermost = (element) => {
        while (element.getRootNode() !== document) element = element.getRootNode().host;
        return element;
    };
    const after = (one, other) => {
        const [a, b] = one.getRootNode() === other.getRootNode() ? [one, other] : [outermost(one), outermost(other)];
        return Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);
    };
    const named = (element) => element.outerHTML.slice(0, 160);
    const active = deepest(document.activeElement);
    const nowhere = !active || active === document.body;
    const isRadio = (element) => element?.type === "radio";
    const here = active === wanted || (isRadio(active) && isRadio(wanted) && active.name === wanted.name);
    const found = { here, nowhere, forward: nowhere || after(active, wanted), indents: false, trouble: "" };
    if (nowhere || active.tabIndex < 0) { // A page may lead people to a place that is no stop.
        window.stopBefore = undefined;
        return found;
    }
    found.indents = Boolean(active.closest(".pane.live") && !active.readOnly);
    const box = active.getBoundingClientRect();
    const shown = { x: Math.max(box.left, 0), y: Math.max(box.top, 0) };
    const middle = [(shown.x + Math.min(box.right, innerWidth)) / 2, (shown.y + Math.min(box.bottom, innerHeight)) / 2];
    if (box.width < 1 || box.height < 1 || box.bottom <= 0 || box.top >= innerHeight)
        found.trouble = `out of sight: ${named(active)}`;
    let outlined = false;
    const label = active.closest("label");
    const around = [...(label?.querySelectorAll("*") ?? [])];
    for (let one = active; one; one = one.parentElement) around.push(one);
    for (const one of around) {
        const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(one);
        const line = outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
        const ring = line || (boxShadow !== "none" && [active, active.parentElement].includes(one));
        outlined ||= ring && (label?.contains(one) || one.matches(":focus-visible, :focus-within"));
    }
    if (!outlined) found.trouble = `no ring around ${named(active)}`;
    const top = active.getRootNode().elementFromPoint(...middle);
    if (top && !active.contains(top) && !top.contains(active) && !label?.contains(top))
        found.trouble = `${named(active)} is behind ${named(top)}`;
    const before = window.stopBefore;
    if (from && before?.isConnected && before !== active && !active.contains(before)) {
        const [first, second] = from === "Tab" ? [before, active] : [active, before];
        if (!after(first, second)) found.trouble = `${named(before)} leads back to ${named(active)}`;
    }
    if (from && before === active) found.trouble = `nothing leads on from ${named(active)}`;
    window.stopBefore = active;
    return found;
}"""
_LEADS_AWAY = """element => {
    const link = element.closest("a[href]"), form = element.closest("form[action]");
    return Boolean(link ? !link.hash : element.type === "submit" && form && !form.hasAttribute("hx-post"));
}"""
_CHECKED = "radio => radio.checked"


class Hands(Protocol):
    """What somebody does to a page. Locators name one element each."""

    async def press(self, what: Locator) -> None:
        """Use a link, a button, or what unfolds a part; a page that it leads to is loaded afterwards."""

    async def write(self, field: Locator, text: str) -> None:
        """Make `text` the content of a field."""

    async def rewrite(self, area: Locator, line: str, text: str) -> None:
        """Replace the only line of a text that contains `line`, keeping its indentation."""

    async def choose(self, select: Locator, value: str) -> None:
        """Choose an option of a list by its value."""

    async def untick(self, box: Locator) -> None:
        """Take the tick of a box away."""

    async def pick(self, page: Page, label: str) -> None:
        """Choose one of several by its label."""


class Mouse:
    """Clicks; text appears in fields."""

    async def press(self, what: Locator) -> None:
        """Click."""
        await (follow(what) if await what.evaluate(_LEADS_AWAY) else what.click())

    async def write(self, field: Locator, text: str) -> None:
        """Fill."""
        await field.fill(text)

    async def rewrite(self, area: Locator, line: str, text: str) -> None:
        """Fill with the text changed."""
        lines = (await area.input_value()).split("\n")
        at = _only(lines, line)
        lines[at] = _indentation(lines[at]) + text
        await area.fill("\n".join(lines))

    async def choose(self, select: Locator, value: str) -> None:
        """Choose."""
        await select.select_option(value)

    async def untick(self, box: Locator) -> None:
        """Click the box."""
        await box.uncheck()

    async def pick(self, page: Page, label: str) -> None:
        """Click the label."""
        await page.get_by_text(label, exact=True).click()


class Keyboard:
    """Goes from stop to stop with Tab and Shift+Tab and presses keys, nothing else.

    Every stop on the way must be in sight, uncovered and marked, in the order of the page, and lead on; a page with a
    link to its content must have it first.
    """

    async def press(self, what: Locator) -> None:
        """Go there and press Enter."""
        await self._reach(what)
        if not await what.evaluate(_LEADS_AWAY):
            await what.page.keyboard.press("Enter")
            return
        async with what.page.expect_event("load"):
            await what.page.keyboard.press("Enter")

    async def write(self, field: Locator, text: str) -> None:
        """Go there, select all and type."""
        await self._reach(field)
        keyboard = field.page.keyboard
        await keyboard.press("Control+a")
        await keyboard.type(text)
        assert await field.input_value() == text

    async def rewrite(self, area: Locator, line: str, text: str) -> None:
        """Go to the line with the arrows, select it and type."""
        await self._reach(area)
        lines = (await area.input_value()).split("\n")
        at = _only(lines, line)
        keyboard = area.page.keyboard
        await keyboard.press("Control+Home")
        for _ in range(at):
            await keyboard.press("ArrowDown")
        await keyboard.press("End")
        await keyboard.press("Shift+Home")
        await keyboard.type(_indentation(lines[at]) + text)

    async def choose(self, select: Locator, value: str) -> None:
        """Go there and press arrows until the list shows it."""
        await self._reach(select)
        await select.page.keyboard.press("Home")
        for _ in range(_MOST_STOPS):
            if await select.input_value() == value:
                return
            await select.page.keyboard.press("ArrowDown")
        raise AssertionError(f"no {value} in the list")

    async def untick(self, box: Locator) -> None:
        """Go there and press Space."""
        await self._reach(box)
        assert await box.is_checked()
        await box.page.keyboard.press("Space")
        assert not await box.is_checked()

    async def pick(self, page: Page, label: str) -> None:
        """Go to the group and press arrows until it is chosen."""
        radio = page.get_by_role("radio", name=label, exact=True)
        await self._reach(radio)
        for _ in range(_MOST_STOPS):
            await page.keyboard.press("ArrowRight")
            if await radio.evaluate(_CHECKED):
                return
        raise AssertionError(f"no {label} in the group")

    async def _reach(self, wanted: Locator) -> None:
        """Press Tab, or Shift+Tab when it lies before, until it has the focus."""
        await expect(wanted).to_be_visible()
        await expect(wanted).to_be_enabled()
        page, key = wanted.page, ""
        for _ in range(_MOST_STOPS):
            at = await wanted.evaluate(_STEP, key)
            assert not at["trouble"], f"{page.url}: {at['trouble']}"
            if at["here"]:
                return
            if at["nowhere"] and await self._skip(wanted):
                continue
            if at["indents"]:
                await page.keyboard.press("Escape")
            key = "Tab" if at["forward"] else "Shift+Tab"
            await page.keyboard.press(key)
        raise AssertionError(f"{page.url}: {wanted} is never reached")

    async def _skip(self, wanted: Locator) -> bool:
        """Use the link to the content, which must be the page's first stop; tells whether it helps."""
        page = wanted.page
        link = page.locator("a.skip")
        if not await link.count() or not await wanted.evaluate("element => Boolean(element.closest('main'))"):
            return False
        await page.keyboard.press("Tab")
        assert await link.evaluate("link => link === document.activeElement"), f"{page.url}: skipping comes later"
        assert await link.evaluate("link => link.getBoundingClientRect().left >= 0"), "the link is out of sight"
        await page.keyboard.press("Enter")
        return True


def _only(lines: list[str], wanted: str) -> int:
    (found,) = [number for number, line in enumerate(lines) if wanted in line]
    return found


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
