"""One emulated Webex organization: its parts put together."""

from warmline.emulators.webex.access import Access
from warmline.emulators.webex.agent_events import AgentEvents
from warmline.emulators.webex.consulting import Consulting
from warmline.emulators.webex.director import Director
from warmline.emulators.webex.faults import Faults
from warmline.emulators.webex.flows import Flows
from warmline.emulators.webex.http import HttpClient
from warmline.emulators.webex.oauth import OAuth
from warmline.emulators.webex.publisher import Publisher
from warmline.emulators.webex.routing import Routing
from warmline.emulators.webex.settings import SimSettings
from warmline.emulators.webex.state import World
from warmline.emulators.webex.subscriptions import Subscriptions
from warmline.emulators.webex.tasks import Tasks
from warmline.emulators.webex.webhooks import Webhooks


class Sim:
    """The emulated organization between two resets. Usable in-process; outside tools use `/__sim/v1`."""

    def __init__(self, settings: SimSettings, http: HttpClient) -> None:
        self.world = World(settings)
        self.faults = Faults(self.world.clock)
        self.oauth = OAuth(self.world)
        self.access = Access(self.world, self.faults, self.oauth)
        self.webhooks = Webhooks(self.world, self.faults, http)
        self.publisher = Publisher(self.world, self.webhooks)
        self.routing = Routing(self.world, self.publisher)
        self.consulting = Consulting(self.world, self.publisher, self.routing)
        self.agent_events = AgentEvents(self.world, self.webhooks)
        self.director = Director(self.world, self.routing, self.publisher)
        self.flows = Flows(self.world, self.publisher, self.routing)
        self.tasks = Tasks(self.world, self.faults, http, self.webhooks, self.publisher, self.routing, self.flows)
        self.subscriptions = Subscriptions(self.world)

    @property
    def settings(self) -> SimSettings:
        """The settings in force."""
        return self.world.settings

    def configure(self, settings: SimSettings) -> None:
        """Put new settings in force; running conversations go on."""
        self.world.settings = settings
        self.world.hire_agents()

    async def stop(self) -> None:
        """End everything that runs by itself: timers, deliveries, pipelines."""
        self.world.clock.cancel_all()
        await self.world.background.stop()
