"""The objects of the emulated organization: tasks, messages, agents, subscriptions, files."""

import enum
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from warmline.emulators.webex.clock import SimClock, Timer
from warmline.emulators.webex.ids import Ids
from warmline.emulators.webex.lanes import Background, Lanes
from warmline.emulators.webex.settings import (
    AgentSpec,
    AssetSpec,
    ChannelSpec,
    EntryPointSpec,
    FlowSpec,
    FlowStep,
    Policy,
    QueueSpec,
    SimSettings,
)


class Status(enum.StrEnum):
    """Where a task is."""

    CREATED = "created"
    PARKED = "parked"
    OFFERED = "offered"
    CONNECTED = "connected"
    ENDED = "ended"
    FAILED = "failed"


OVER = (Status.ENDED, Status.FAILED)


class AgentState(enum.StrEnum):
    """What an agent does; only `AVAILABLE` gets offers."""

    LOGGED_OUT = "LoggedOut"
    AVAILABLE = "Available"
    IDLE = "Idle"
    RONA = "RONA"


class Slot(enum.StrEnum):
    """What a conversation is to the agent who has it."""

    OFFERED = "offered"
    CONNECTED = "connected"
    CONSULTED = "consulted"
    """Asked for advice by the agent who has the conversation, or in conference with them."""
    WRAPUP = "wrapup"


class File:
    """Stored bytes; never changed."""

    __slots__ = ("content", "id", "mime_type", "name")

    def __init__(self, file_id: str, name: str, mime_type: str, content: bytes) -> None:
        self.id = file_id
        self.name = name
        self.mime_type = mime_type
        self.content = content


@dataclass(slots=True)
class Message:
    """One entry of a task's transcript. `text` is plain and already masked; `at` is epoch ms."""

    direction: str
    sender_type: str
    alias_id: str
    text: str
    at: int
    files: list[File] = field(default_factory=list)
    agent_id: str | None = None


@dataclass(slots=True)
class Task:
    """A conversation of a customer with the contact centre. Times are epoch ms."""

    id: str
    origin: dict[str, Any]
    destination: dict[str, Any]
    channel: str
    created_ms: int
    global_variables: dict[str, str]
    first: dict[str, Any]
    """`channelParams` of the Create request."""
    status: Status = Status.CREATED
    open: bool = False
    """True from `task:new` until the end: the time in which the conversation blocks a second one."""
    queue: str | None = None
    parked_ms: int = 0
    """Since when it waits in its queue."""
    agent_id: str | None = None
    consulted_id: str | None = None
    """The second agent, while there is one."""
    in_conference: bool = False
    """Whether the second agent talks to the customer too."""
    reason: str | None = None
    terminating_party: str | None = None
    end_asked: bool = False
    end_requested: tuple[str, str] | None = None
    """Party and reason of an End that came before the verdict."""
    ended_ms: int | None = None
    was_connected: bool = False
    offer_timer: Timer | None = None
    offer_deadline_ms: int = 0
    wrap_up_code: str | None = None
    problems: list[str] = field(default_factory=list)
    """What breaks §7.1 in the Create request, while `sync_validation` is off."""
    flow_steps: list[FlowStep] = field(default_factory=list)
    flow_timer: Timer | None = None
    receiving: bool = False
    transcript: list[Message] = field(default_factory=list)
    aliases: set[str] = field(default_factory=set)
    history: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """(time, Search row) after every change, for the index lag of Search."""
    transcript_file: File | None = None
    last_stamp_ms: int = 0

    @property
    def address(self) -> str:
        """The business address the customer wrote to."""
        return str(self.destination.get("id", ""))

    @property
    def conversation(self) -> tuple[str, str]:
        """Of these pairs only one can be open at a time (§0, fact 3)."""
        return (str(self.origin.get("id", "")), self.address)

    def stamp(self, now_ms: int) -> int:
        """Return a time for the next event of this task: now, but later than every event before."""
        self.last_stamp_ms = max(now_ms, self.last_stamp_ms + 1)
        return self.last_stamp_ms


@dataclass(slots=True)
class Agent:
    """A human agent of the contact centre."""

    spec: AgentSpec
    state: AgentState = AgentState.LOGGED_OUT
    since_ms: int = 0
    slots: dict[str, Slot] = field(default_factory=dict)
    last_offer: int = 0
    policies: dict[str, Policy] = field(default_factory=dict)
    """Channel policies as the agent's desktop knows them: renewed by a login or a reload of the page (§3.2)."""

    @property
    def has_room(self) -> bool:
        """Whether one more conversation fits."""
        return len(self.slots) < self.spec.capacity


@dataclass(slots=True)
class Subscription:
    """A registered webhook (§10). `family` is the API version that made it."""

    id: str
    family: str
    name: str
    event_types: list[str]
    destination_url: str
    status: str
    created_ms: int
    updated_ms: int
    resource_version: str | None = None
    secret: str | None = None
    description: str | None = None
    consecutive_failures: int = 0


class World:
    """The whole state of one emulated organization, and what every part of the emulator shares."""

    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        self.base_url = settings.public_url
        self.clock = SimClock(settings.virtual_clock_start_ms)
        self.ids = Ids(settings.seed)
        self.background = Background()
        self.pipelines = Lanes(self.background)
        self.tasks: dict[str, Task] = {}
        self.open_conversations: dict[tuple[str, str], str] = {}
        self.agents: dict[str, Agent] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.files: dict[str, File] = {}
        self.file_keys: dict[str, bytes] = {}
        self.observers: list[Callable[[Task, Message | None], None]] = []
        self.agent_observers: list[Callable[[Agent], None]] = []
        self.hire_agents()

    def hire_agents(self) -> None:
        """Bring the agents in line with the settings, keeping what the present ones are doing."""
        present = self.agents
        self.agents = {}
        for spec in self.settings.agents:
            agent = present.get(spec.id) or Agent(spec)
            agent.spec = spec
            self.agents[spec.id] = agent

    def channel(self, name: str) -> ChannelSpec | None:
        """Return the channel of that exact name."""
        return next((c for c in self.settings.channels if c.name == name), None)

    def asset(self, address: str) -> AssetSpec | None:
        """Return the asset of a business address."""
        return next((a for a in self.settings.assets if a.business_address == address), None)

    def entry_point(self, entry_point_id: str) -> EntryPointSpec | None:
        """Return an entry point by its id."""
        return next((e for e in self.settings.entry_points if e.id == entry_point_id), None)

    def flow(self, name: str) -> FlowSpec | None:
        """Return a flow by its name."""
        return next((f for f in self.settings.flows if f.name == name), None)

    def queue(self, name: str | None) -> QueueSpec | None:
        """Return a queue by its name."""
        return next((q for q in self.settings.queues if q.name == name), None)

    def policy(self, channel: str) -> Policy:
        """Return the messaging policy in force for `channel`."""
        spec = self.channel(channel)
        return spec.policy if spec else Policy()

    def mapped(self, url: str) -> str:
        """Return the URL to call for `url` under the settings' host map."""
        for origin, real in self.settings.host_map.items():
            if url.startswith(origin + "/"):
                return real + url[len(origin) :]
        return url

    def store_file(self, name: str, mime_type: str, content: bytes) -> File:
        """Keep a file and return it."""
        file = File(self.ids.uuid("file"), name, mime_type, content)
        self.files[file.id] = file
        return file

    def file_url(self, file: File, ttl_s: int | None = None) -> str:
        """Return a signed URL under which the file can be fetched for `ttl_s` (else `file_url_ttl_s`) seconds."""
        seconds = self.settings.file_url_ttl_s if ttl_s is None else ttl_s
        expires = self.clock.now_ms() + seconds * 1000
        return f"{self.base_url}/files/{file.id}?token={expires}.{self.file_signature(file.id, expires)}"

    def file_signature(self, file_id: str, expires_ms: int) -> str:
        """Return the signature of a file's URL."""
        message = f"{file_id}.{expires_ms}".encode()
        return hmac.new(self.settings.client_secret.encode(), message, hashlib.sha256).hexdigest()[:32]

    def task_changed(self, task: Task, message: Message | None = None) -> None:
        """Tell the observers that a task, or its transcript by `message`, has changed."""
        for observer in self.observers:
            observer(task, message)

    def agent_changed(self, agent: Agent) -> None:
        """Tell the observers that an agent has changed."""
        for observer in self.agent_observers:
            observer(agent)
