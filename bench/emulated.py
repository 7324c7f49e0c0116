"""The full emulator in a process of its own, with an agent that repeats whatever the customer says.

Run by `bench/servers.py`: prints what to connect to, then reads the asset's webhook.
"""

import asyncio
import json
import sys

import aiohttp
import uvloop

from warmline.emulators.webex import SimSettings, demo_values, start

_SECRETS = ("client_secret", "refresh_token")


async def main() -> None:
    """Serve until standard input closes."""
    sys.stdin.readline()
    sim = await start(SimSettings(relaxed=True, create_delay_ms=0, rate_limit_per_minute=10_000_000, echo_replies=True))
    given = {"region": "custom", "rate_per_minute": "1000000", **demo_values(sim.sim.settings, sim.url)}
    values = {key: value for key, value in given.items() if key not in _SECRETS}
    secrets = {key: given[key] for key in _SECRETS}
    print(json.dumps({"values": json.dumps(values), "secrets": json.dumps(secrets)}), flush=True)
    loop = asyncio.get_running_loop()
    hook = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    address = sim.sim.settings.assets[0].business_address
    asset = {"businessAddress": address, "webhookUrl": hook["url"], "webhookSecret": hook["secret"]}
    async with aiohttp.ClientSession(base_url=sim.url) as http:
        await http.put("/__sim/v1/config", json={"assets": [asset]})
    await loop.run_in_executor(None, sys.stdin.read)
    await sim.stop()


if __name__ == "__main__":
    uvloop.run(main())
