"""The full emulator in a process of its own, with one agent who takes every conversation.

Run by `bench/servers.py`: reads settings as JSON, prints what to connect to, then reads the asset's webhook.
"""

import asyncio
import json
import sys

import aiohttp
import uvloop

from warmline.emulators.webex import SimSettings, demo_values, start
from warmline.emulators.webex.settings import changed

_SECRETS = ("client_secret", "refresh_token")
_AGENT = {"id": "agent-1", "capacity": 1_000_000}
_USUAL = {"relaxed": True, "createDelayMs": 0, "rateLimitPerMinute": 0, "autoAccept": True, "autoWrapup": True}


async def main() -> None:
    """Serve until standard input closes."""
    given = json.loads(sys.stdin.readline())
    sim = await start(changed(SimSettings(), {**_USUAL, "agents": [_AGENT], **given}))
    connect = {"region": "custom", "rate_per_minute": "1000000", **demo_values(sim.sim.settings, sim.url)}
    values = {key: value for key, value in connect.items() if key not in _SECRETS}
    secrets = {key: connect[key] for key in _SECRETS}
    print(json.dumps({"url": sim.url, "values": json.dumps(values), "secrets": json.dumps(secrets)}), flush=True)
    loop = asyncio.get_running_loop()
    hook = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    address = sim.sim.settings.assets[0].business_address
    asset = {"businessAddress": address, "webhookUrl": hook["url"], "webhookSecret": hook["secret"]}
    async with aiohttp.ClientSession(base_url=sim.url) as http:
        await http.put("/__sim/v1/config", json={"assets": [asset]})
        await http.post("/__sim/v1/agents/agent-1/login")
        await http.post("/__sim/v1/agents/agent-1/state", json={"state": "Available"})
    await loop.run_in_executor(None, sys.stdin.read)
    await sim.stop()


if __name__ == "__main__":
    uvloop.run(main())
