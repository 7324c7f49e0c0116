"""The system's Chromium for tests of pages."""

import shutil

from playwright.async_api import Browser, Playwright

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
"""The first is the same engine without a browser's own windows, and takes half the processor time."""


async def launch_chromium(playwright: Playwright, *options: str) -> Browser:
    """A headless Chromium; fails with the way to install it when there is none. `options` are further flags."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise RuntimeError("Chromium is missing: apt-get install -y --no-install-recommends chromium-headless-shell")
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
    return await playwright.chromium.launch(executable_path=path, args=[*flags, *options])
