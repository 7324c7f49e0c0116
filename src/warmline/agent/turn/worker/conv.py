"""`conv`: the conversation as a project's function sees it (agent-project.md §5)."""

import time
from collections.abc import Mapping
from typing import Any

from warmline.agent.turn import protocol
from warmline.agent.turn.worker import values
from warmline.agent.turn.worker.executors import Executor, Find
from warmline.agent.turn.worker.plain import plain, plain_text
from warmline.agent.turn.worker.state import State
from warmline.agent.turn.worker.wire import Wire

_MOST_LOGS = 200
"""Log entries that are kept of one call."""
_VOICE_ONLY = frozenset(
    {
        *("set_voice", "randomize_voice", "set_asr_biasing", "clear_asr_biasing", "discard_recording"),
        *("set_background_track", "goto_csat_flow", "set_csat_eligibility", "set_csat_phone_number"),
        *("set_csat_score", "set_csat_survey_entered"),
    }
)


class Log:
    """`conv.log`: entries go to the record of the call, never to the server's log."""

    def __init__(self, entries: list[dict[str, Any]], logger: str = "conversation_logger") -> None:
        """Append to `entries`."""
        self._entries = entries
        self._logger = logger

    def info(self, content: Any = "", is_pii: Any = False, **fields: Any) -> None:
        """Note something."""
        self.write("info", content, is_pii, fields)

    debug = info

    def warning(self, content: Any = "", is_pii: Any = False, **fields: Any) -> None:
        """Note something unexpected."""
        self.write("warning", content, is_pii, fields)

    def error(self, content: Any = "", is_pii: Any = False, **fields: Any) -> None:
        """Note something wrong."""
        self.write("error", content, is_pii, fields)

    exception = error

    def write(self, level: str, content: Any, is_pii: Any, fields: Mapping[str, Any]) -> None:
        """Add an entry; entries beyond the limit are dropped."""
        if len(self._entries) >= _MOST_LOGS:
            return
        entry = {
            "level": level,
            "content": plain_text(content),
            "is_pii": bool(is_pii),
            "timestamp": time.time(),
            "logger": self._logger,
        }
        self._entries.append({**plain(fields), **entry})


class Webchat:
    """`conv.webchat`: what only a web chat can show."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.chat_call_actions: list[values.ChatCallAction] = []

    def set_chat_call_actions(self, actions: list[values.ChatCallAction]) -> None:
        """Show these call buttons beside the next message."""
        self.chat_call_actions = list(actions)


class Utils:
    """`conv.utils`, as far as it needs no model and no secret store."""

    def prompt_llm(self, *args: Any, **named: Any) -> Any:
        """Refuse: there is no model here; the format's own way to say so (agent-project.md §5.6)."""
        raise NotImplementedError("prompt_llm needs a language model and none is configured")

    def get_secret(self, name: str) -> Any:
        """Refuse: projects have no secrets yet."""
        raise values.SecretNotFound(name)


class Translations:
    """`conv.translations`: `.name` gives the text in the conversation's language."""

    def __init__(self, conv: "Conversation", texts: Mapping[str, Mapping[str, str]]) -> None:
        """Look texts up in `texts`, by name and language."""
        self._conv = conv
        self._texts = texts

    def __getattr__(self, name: str) -> str:
        """Give the text; the first language's when the current one has none."""
        if name not in self._texts:
            raise AttributeError(name)
        by_language = self._texts[name]
        return by_language.get(self._conv.language or "", next(iter(by_language.values()), ""))


class Conversation:
    """What a function reads and what it asks for. One object lives for one call."""

    def __init__(
        self,
        setup: protocol.Setup,
        data: protocol.Conversation,
        state: State,
        find: Find,
        wire: Wire,
    ) -> None:
        """Build it from the engine's `data`; `find` gives functions by file, `wire` leads to the engine."""
        self._setup = setup
        self._find = find
        self._wire = wire
        self.id = data.id
        self.account_id = setup.account_id
        self.project_id = setup.project_id
        self.env = data.env
        self.channel_type = data.channel_type
        self.caller_number = data.caller_number
        self.callee_number: str | None = None
        self.sip_headers: dict[str, str] = {}
        self.integration_attributes = dict(data.integration_attributes)
        self.entities = values.Variant()
        self.current_flow = data.flow
        self.current_step = data.step
        self.language = data.language
        self.state = state
        for key, value in self._platform_state().items():
            state.setdefault(key, value)
        self.variants = {name: values.Variant(attributes) for name, attributes in setup.variants.items()}
        self.variant_name = data.variant
        self.history = [
            values.UserInput(text) if role == "user" else values.AgentResponse(text) for role, text in data.history
        ]
        last = data.history[-1] if data.history else ("", "")
        self.transcript_alternatives = [last[1]] if last[0] == "user" else []
        self.real_time_config: dict[str, Any] = {}
        self.memory: dict[str, Any] = {}
        self.metric_events = [values.MetricEvent(name, value) for name, value in data.metrics]
        self.sms_templates = {n: values.SMSTemplate(n, **t) for n, t in setup.sms_templates.items()}
        self.handoffs = {name: values.HandoffConfig(**h) for name, h in setup.handoffs.items()}
        self.generic_external_events: list[dict[str, Any]] = []
        self.attachments: list[values.Attachment] = []
        self.response_suggestions: list[str] | None = None
        self.provider_voice_id = ""
        self.webchat = Webchat()
        self.utils = Utils()
        self.functions = Executor(find, setup.functions, self)
        self.translations = Translations(self, setup.translations)
        self.logs: list[dict[str, Any]] = []
        self.log = Log(self.logs)
        self.effects = protocol.Effects()
        self._analytics_events: list[Any] = []

    def _platform_state(self) -> dict[str, Any]:
        """Give the keys that every state holds (agent-project.md §5.2)."""
        spoken = {"asr_lang_code": self.language, "tts_lang_code": self.language}
        return {"from_": self.caller_number, "to": self.callee_number, "call_sid": self.id, **spoken}

    @property
    def variant(self) -> values.Variant | None:
        """The attributes of the active variant."""
        return self.variants.get(self.variant_name or "")

    def say(self, utterance: str) -> None:
        """Say this after the function; it replaces the function's own utterance."""
        self.effects.say = plain_text(utterance)

    def goto_flow(self, flow_name: str) -> None:
        """Enter a flow after the function."""
        self.effects.goto_flow, self.effects.exit_flow = plain_text(flow_name), False

    def exit_flow(self) -> None:
        """Leave the flow after the function; a `goto_flow` of the same function wins."""
        self.effects.exit_flow = self.effects.goto_flow is None

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
        self.effects.handoff = {
            "destination": plain_text(destination),
            "reason": plain_text(reason if reason is not None else destination),
            "utterance": None if utterance is None else plain_text(utterance),
            "options": {key: value for key, value in options.items() if value},
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
        self.metric_events.append(values.MetricEvent(name, value))
        self.effects.metrics.append((plain_text(name), plain(value)))

    def add_attachments(self, attachments: list[values.Attachment]) -> None:
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
        self.effects.disabled_topics = [plain_text(name) for name in names]

    def clear_disabled_kb_topics(self) -> None:
        """Use all topics again."""
        self.effects.disabled_topics = []

    def send_sms_template(self, to_number: str, template: str, retry_count: int | None = None) -> None:
        """Refuse: no SMS connection is reachable from functions yet."""
        if template not in self.sms_templates:
            raise values.MissingTemplate(template)
        raise values.SMSIntegrationNotFound("no SMS connection is configured for this project")

    def send_sms(self, to_number: str, from_number: str, content: str, retry_count: int | None = None) -> None:
        """Refuse: no SMS connection is reachable from functions yet."""
        raise values.SMSIntegrationNotFound("no SMS connection is configured for this project")

    def send_email(self, to: str, body: str, subject: str = "") -> None:
        """Refuse: e-mail delivery belongs to a hosted service."""
        raise values.NotConfigured("e-mail delivery is not available here")

    def log_api_response(self, response: Any, override_url: str | None = None) -> None:
        """Note the status of an HTTP response."""
        self.log.info("api response", status=getattr(response, "status_code", None))

    def __getattr__(self, name: str) -> Any:
        """Accept the voice members without effect; everything else is unknown."""
        if name in _VOICE_ONLY:

            def ignore(*args: Any, **named: Any) -> None:
                self.log.write("debug", f"conv.{name} has no effect on text channels", False, {})

            return ignore
        raise AttributeError(f"conv has no member `{name}`")

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
        return effects
