"""The system's Chromium for tests of pages."""

import shutil

from playwright.async_api import Browser, Playwright


async def launch_chromium(playwright: Playwright, *options: str) -> Browser:
    """A headless Chromium; fails with the way to install it when there is none. `options` are further flags."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("Chromium is missing: apt-get install -y --no-install-recommends chromium")
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
    return await playwright.chromium.launch(executable_path=path, args=[*flags, *options])
