"""`conv`: the conversation as a project's function sees it (agent-project.md §5)."""

from collections.abc import Iterable, Mapping
from typing import Any

from warmline.agent.turn import protocol
from warmline.agent.turn.worker import values
from warmline.agent.turn.worker.apis import Apis
from warmline.agent.turn.worker.errors import InvalidInput, MissingTemplate
from warmline.agent.turn.worker.executors import Executor, Find
from warmline.agent.turn.worker.log import Log
from warmline.agent.turn.worker.members import Clock, CxOne, KnowledgeBase, NotHere, Translations, Webchat, moment
from warmline.agent.turn.worker.plain import WHOLE, plain, plain_text
from warmline.agent.turn.worker.state import State, platform_state, state_texts
from warmline.agent.turn.worker.utils import Utils
from warmline.agent.turn.worker.wire import Wire

_VOICE_ONLY = frozenset(
    {
        *("set_voice", "randomize_voice", "set_asr_biasing", "clear_asr_biasing", "discard_recording"),
        *("set_background_track", "goto_csat_flow", "set_csat_eligibility", "set_csat_phone_number"),
        *("set_csat_score", "set_csat_survey_entered"),
    }
)
_HOSTED = frozenset(
    {
        *("integrations", "connectors", "agentic_dial", "send_whatsapp", "send_content_template", "send_email"),
        "generate_external_event",
    }
)


class Conversation:
    """What a function reads and what it asks for. One object lives for one call."""

    def __init__(
        self, setup: protocol.Setup, data: protocol.Conversation, state: State, find: Find, wire: Wire
    ) -> None:
        """Build it from the engine's `data`; `find` gives functions by file, `wire` leads to the engine."""
        self._setup = setup
        self._find = find
        self.id = data.id
        self.account_id = setup.account_id
        self.project_id = setup.project_id
        self.env = data.env
        self.channel_type = data.channel_type
        self.caller_number = data.caller_number
        self.callee_number = data.callee_number
        self.sip_headers: dict[str, str] = {}
        self.integration_attributes = dict(data.integration_attributes)
        self.entities = values.Entities(
            {
                name: values.EntityValidationResult(id=name, name=name, value=value, type=setup.entities.get(name, ""))
                for name, value in data.entities.items()
            }
        )
        self.current_flow = data.flow
        self.current_step = data.step
        self.language = data.language
        self.state = state
        for key, value in platform_state(self.caller_number, self.callee_number, self.id, self.language).items():
            state.setdefault(key, value)
        self.variants = {name: values.Variant(attributes) for name, attributes in setup.variants.items()}
        self.variant_name = data.variant
        self.history = [
            values.UserInput(text) if role == "user" else values.AgentResponse(text) for role, text in data.history
        ]
        self.num_turns = sum(role == "user" for role, _ in data.history)
        last = data.history[-1] if data.history else ("", "")
        self.transcript_alternatives = [last[1]] if last[0] == "user" else []
        self.real_time_config = values.read_only(setup.real_time_config.get(data.env_settings, {}))
        self.memory = values.read_only(data.memory)
        self.verified_context = self.context_vault = values.read_only(data.context)
        self.metadata: dict[str, Any] = {}
        self.metric_events = [values.MetricEvent(name, value) for name, value in data.metrics]
        self.metrics_queue: list[values.MetricEvent] = []
        self.sms_queue: list[values.OutgoingSMS | values.OutgoingSMSTemplate] = []
        self.sms_templates = {
            name: values.SMSTemplate(name, t["content"], t["phone_numbers"].get(data.env_settings, ""))
            for name, t in setup.sms_templates.items()
        }
        self.handoffs = {name: values.HandoffConfig(**h) for name, h in setup.handoffs.items()}
        self.generic_external_events: list[dict[str, Any]] = []
        self.attachments: list[values.Attachment] = []
        self.response_suggestions: list[str] | None = None
        self.voice_change: Any = None
        self.provider_voice_id = ""
        self.outbound_campaign: Any = None
        self.started_at = None if data.started_at_ms is None else moment(data.started_at_ms)
        self.logs: list[dict[str, Any]] = []
        self.log = Log(self.logs)
        self.webchat = Webchat()
        self.utils = Utils(wire, self.language or "")
        self.functions = Executor(find, setup.functions, self)
        self.api = Apis(setup.apis, wire)
        self.translations = Translations(setup.translations, lambda: self.language or "")
        self.knowledge_base = KnowledgeBase(data.disabled_topics)
        self.clock = Clock(data.at_ms)
        self.cxone = CxOne(self._hand_off, self._ignored)
        self.effects = protocol.Effects()
        self._analytics_events: list[Any] = []
        self._ignored_members: set[str] = set()

    @property
    def variant(self) -> values.Variant | None:
        """The attributes of the active variant."""
        return self.variants.get(self.variant_name or "")

    def say(self, utterance: str) -> None:
        """Say this after the function; it replaces the function's own utterance."""
        self.effects.say = plain_text(utterance, longest=WHOLE)

    def goto_flow(self, flow_name: str) -> None:
        """Enter a flow after the function; the last call wins."""
        self.effects.goto_flow, self.effects.goto_step = plain_text(flow_name), None

    def exit_flow(self) -> None:
        """Leave the flow after the function; entering a flow or step in the same function wins."""
        self.effects.exit_flow = True

    def call_handoff(
        self,
        destination: str,
        reason: str | None = None,
        utterance: str | None = None,
        sip_headers: Mapping[str, str] | None = None,
        route: str | None = None,
    ) -> None:
        """Ask for a human after the function."""
        options = {"sip_headers": plain(sip_headers), "route": route}
        self._hand_off(destination, reason, utterance, options)

    transfer_call = handoff = call_handoff

    def _hand_off(
        self, destination: Any, reason: Any, utterance: Any, options: Mapping[str, Any] | None = None
    ) -> None:
        self.effects.handoff = {
            "destination": plain_text(destination),
            "reason": plain_text(reason if reason is not None else destination),
            "utterance": None if utterance is None else plain_text(utterance, longest=WHOLE),
            "options": {key: plain(value) for key, value in (options or {}).items() if value},
        }

    def set_variant(self, name: str) -> None:
        """Switch to another variant."""
        if name not in self.variants:
            self.log.error("there is no such variant", variant=name)
            return
        self.variant_name = self.effects.variant = name

    def set_language(self, code: str) -> None:
        """Go on in another language."""
        self.language = self.effects.language = plain_text(code)
        self.state.asr_lang_code = self.state.tts_lang_code = self.language

    def write_metric(self, name: str, value: Any = None, *, write_once: bool = False) -> None:
        """Record a metric; with `write_once` only when the conversation has none of that name yet."""
        if write_once and any(event.name == name for event in self.metric_events):
            return
        event = values.MetricEvent(plain_text(name), value)
        self.metric_events.append(event)
        self.metrics_queue.append(event)
        self.effects.metrics.append((event.name, plain(value)))

    def add_attachments(self, attachments: Iterable[values.Attachment]) -> None:
        """Show these beside the next message."""
        for attachment in attachments:
            if not isinstance(attachment, values.Attachment):
                raise TypeError(f"an attachment must be an Attachment, not {type(attachment).__name__}")
            self.attachments.append(attachment)

    def set_response_suggestions(self, suggestions: list[str]) -> None:
        """Offer these answers beside the next message."""
        if not isinstance(suggestions, list | tuple):
            raise TypeError("set_response_suggestions takes a list of texts")
        self.response_suggestions = [plain_text(text) for text in suggestions]

    def disable_kb_topics(self, names: list[str]) -> None:
        """Leave these topics out until they are enabled again; replaces the earlier list."""
        self.knowledge_base.set(names)

    def clear_disabled_kb_topics(self) -> None:
        """Use all topics again."""
        self.knowledge_base.enable_all_topics()

    def send_sms(self, to_number: str, from_number: str, content: str, retry_count: int | None = None) -> None:
        """Send a text message after the function. The server repeats it by itself where that is safe.

        Raises:
            InvalidInput: there is no number or no text.
        """
        self._send(to_number, from_number, plain_text(content or "", longest=WHOLE))
        self.sms_queue.append(values.OutgoingSMS(to_number, from_number or "", content))

    def send_sms_template(self, to_number: str, template: str, retry_count: int | None = None) -> None:
        """Send a text message by a template of the project, with the values of this moment.

        Raises:
            MissingTemplate: there is none of that name. InvalidInput: there is no number.
        """
        if template not in self.sms_templates:
            raise MissingTemplate(f"there is no SMS template `{template}`")
        found = self.sms_templates[template]
        self._send(to_number, found.phone_number, self._rendered(found.content), template)
        self.sms_queue.append(values.OutgoingSMSTemplate(to_number, template))

    def _send(self, to_number: str, from_number: str, text: str, template: str = "") -> None:
        if not to_number or not isinstance(to_number, str):
            raise InvalidInput("there is no number to send the text message to")
        if not text.strip():
            raise InvalidInput("the text message is empty")
        sms = {"to": to_number, "from_number": plain_text(from_number or ""), "text": text, "template": template}
        self.effects.sms.append(sms)

    def _rendered(self, text: str) -> str:
        # The template has imported it where the project has SMS templates.
        from warmline.agent.turn.render import Scope, render

        scope = Scope(
            channel="sms",
            language=self.language or "",
            state=state_texts(self.state),
            variant={key: "" if value is None else str(value) for key, value in (self.variant or {}).items()},
            entities={name: entity.value for name, entity in self.entities.items()},
            translations=self._setup.translations,
        )
        return render(text, scope).text

    def log_api_response(self, response: Any, override_url: str | None = None) -> None:
        """Note the status of an HTTP response."""
        self.log.info("api response", status=getattr(response, "status_code", None))

    def __getattr__(self, name: str) -> Any:
        """Accept the voice members without effect; those of hosted services say so when they are used.

        Raises:
            AttributeError: everything else is unknown.
        """
        if name in _VOICE_ONLY:
            return lambda *args, **named: self._ignored(name)
        if name in _HOSTED:
            return NotHere(name)
        raise AttributeError(f"conv has no member `{name}`")

    def _ignored(self, name: str) -> None:
        if name not in self._ignored_members:
            self._ignored_members.add(name)
            self.log.debug("has no effect on a text channel", member=name)

    def executor_of_flow(self, flow: object) -> Executor:
        """Give `flow.functions` for the flow that the conversation is in."""
        return Executor(self._find, self._setup.flows.get(self.current_flow or "", {}), self, flow)

    def collect(self) -> protocol.Effects:
        """Give everything that the function asked for."""
        effects = self.effects
        effects.attachments = [plain(attachment.to_dict()) for attachment in self.attachments]
        effects.suggestions = self.response_suggestions
        effects.call_actions = [
            {"contact_number": plain_text(a.contact_number), "title": plain_text(a.title or "")}
            for a in self.webchat.chat_call_actions
        ]
        if self.knowledge_base.changed:
            effects.disabled_topics = self.knowledge_base.disabled_topics
        return effects
