"""An emulated Webex Contact Center: the custom messaging APIs, queues, agents with a desktop, and a control plane.

    sim = await start(SimSettings(relaxed=True))
    ... demo_values(sim.sim.settings, sim.url) is what the Connect dialog wants ...
    await sim.stop()

The asset's webhook, which Warmline generates, is set over HTTP:
`PUT {url}/__sim/v1/config {"assets": [{"businessAddress": "…", "webhookUrl": "…", "webhookSecret": "…"}]}`.
"""

from warmline.emulators.webex.app import RunningSim, create_app, start
from warmline.emulators.webex.settings import SimSettings, changed, demo_values
from warmline.emulators.webex.storage import StorageError

__all__ = ["RunningSim", "SimSettings", "StorageError", "changed", "create_app", "demo_values", "start"]
