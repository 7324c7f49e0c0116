"""Measures how soon a website's visitors see the chat's launcher: from when its script has arrived until it is painted.

A page with nothing but the script, opened in Chromium again and again, without a cache and with one.

    python bench/launcher.py [--runs N] [--json FILE]
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import BrowserContext, Route, async_playwright

from servers import ROOT, WarmlineServer
from vendor import Legs, Vendor

sys.path.insert(0, str(ROOT / "tests"))

from support.chromium import launch_chromium

_PAINTED = """new MutationObserver((_, observer) => {
  if (!document.getElementById("poly-ai-chat")) return;
  observer.disconnect();
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => { window.paintedAt = performance.now(); };
    channel.port2.postMessage(0);
  });
}).observe(document, { childList: true, subtree: true });"""
"""A message that is posted in a frame comes when that frame has been painted."""
_ARRIVED = "performance.getEntriesByType('resource').find((entry) => entry.name.endsWith('-token.js')).responseEnd"


async def _visit(visitor: BrowserContext, url: str) -> float:
    """Open the page once; milliseconds from the script to the launcher."""
    page = await visitor.new_page()
    await page.add_init_script(_PAINTED)
    await page.goto(url)
    await page.wait_for_function("window.paintedAt")
    took = await page.evaluate(f"paintedAt - {_ARRIVED}")
    await page.close()
    return float(took)


async def measure(runs: int) -> dict[str, list[float]]:
    """Milliseconds of each run, for visitors who come for the first time and for those who come again."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-launcher-")))
        vendor = Vendor(Legs(), acknowledge=True)
        await vendor.start()
        stack.push_async_callback(vendor.stop)
        server = WarmlineServer(folder, f"sqlite:///{folder}/warmline.db")
        await stack.enter_async_context(server.against(vendor))
        browser = await launch_chromium(await stack.enter_async_context(async_playwright()))
        stack.push_async_callback(browser.close)
        site = f"{server.url.replace('127.0.0.1', 'localhost')}/site"
        body = f'<!doctype html><title>A site</title><script src="/widget/{server.connector_token}.js" async></script>'

        async def answer(route: Route) -> None:
            await route.fulfill(body=body, content_type="text/html")

        first: list[float] = []
        for _ in range(runs):
            async with await browser.new_context() as visitor:
                await visitor.route(site, answer)
                first.append(await _visit(visitor, site))
        async with await browser.new_context() as visitor:
            await visitor.route(site, answer)
            await _visit(visitor, site)
            again = [await _visit(visitor, site) for _ in range(runs)]
    return {"first visit": first, "visited before": again}


async def main(argv: Sequence[str]) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the times here")
    args = parser.parse_args(argv)
    found = await measure(args.runs)
    for visit, times in found.items():
        print(f"{visit:<15} median {statistics.median(times):.0f} ms, longest {max(times):.0f} ms, {len(times)} runs")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
