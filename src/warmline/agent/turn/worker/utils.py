"""`conv.utils`: a model's answer, secrets, and checks of values (agent-project.md §5.6)."""

import json
from datetime import UTC, datetime
from typing import Any

from warmline.agent.turn import protocol
from warmline.agent.turn.worker import entity_configs, errors, values
from warmline.agent.turn.worker.plain import plain_text
from warmline.agent.turn.worker.wire import Wire


def asked(wire: Wire, kind: str, **payload: Any) -> Any:
    """Ask the server and give its answer.

    Raises:
        Exception: the one of the project format that the answer names.
    """
    answer: protocol.Answer = wire.ask(kind, **payload)
    if answer.error:
        raise errors.error_called(answer.error)(answer.text)
    return answer.value


class Utils:
    """`conv.utils`."""

    EntityType = entity_configs.EntityType
    NumericType = entity_configs.NumericType
    NumericConfig = entity_configs.NumericConfig
    QuantityConfig = entity_configs.QuantityConfig
    CurrencyConfig = entity_configs.CurrencyConfig
    NameConfig = entity_configs.NameConfig
    FreeTextConfig = entity_configs.FreeTextConfig
    AlphanumericConfig = entity_configs.AlphanumericConfig
    DateConfig = entity_configs.DateConfig
    EmailConfig = entity_configs.EmailConfig
    TimeConfig = entity_configs.TimeConfig
    PhoneNumberConfig = entity_configs.PhoneNumberConfig
    EnumConfig = entity_configs.EnumConfig

    def __init__(self, wire: Wire, language: str) -> None:
        """Ask over `wire`; values are read as people write them in `language`."""
        self._wire = wire
        self._language = language

    def prompt_llm(
        self, prompt: str, *, show_history: bool = False, return_json: bool = False, model: str = "gpt-4o"
    ) -> Any:
        """Ask the language model something beside the conversation.

        Raises:
            NotImplementedError: there is no model here. PromptLLMCallLimitError: too many questions in one turn.
            ChatCompletionError: the model failed.
        """
        return asked(
            self._wire,
            "prompt_llm",
            prompt=plain_text(prompt),
            show_history=bool(show_history),
            return_json=bool(return_json),
            model=plain_text(model),
        )

    def get_secret(self, name: str) -> str | dict[str, Any]:
        """Give a secret that the operator set for the project; one that is a JSON object comes as a dict.

        Raises:
            SecretNotFound: there is none of that name. InvalidInput: the name is no text.
        """
        if not isinstance(name, str) or not name:
            raise errors.InvalidInput("the name of a secret must be a text")
        text = str(asked(self._wire, "secret", name=name))
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, dict) else text

    def validate_entity(self, value: Any, entity_config: entity_configs.EntityConfig) -> values.EntityValidationResult:
        """Check a value, and bring it to its usual form.

        Raises:
            InvalidInput: `entity_config` is none of the configurations on `conv.utils`.
        """
        # Phone numbers need much; most projects never come here.
        from warmline.agent.project.model import Entity
        from warmline.agent.turn.entities import Setting, validate

        if not isinstance(entity_config, entity_configs.EntityConfig):
            raise errors.InvalidInput("entity_config must be one of the configurations on conv.utils")
        kind, settings = entity_config.form()
        language = self._language
        if isinstance(entity_config, entity_configs.DateConfig):
            language = "en-GB" if entity_config.day_first else "en-US"
        entity = Entity(name=kind, line=0, type=kind, config=settings)
        found = validate(entity, value, Setting(language, datetime.now(UTC).date()))
        objection = found.error or entity_config.objection(found.value)
        return values.EntityValidationResult(
            id=kind,
            name=kind,
            valid=found.valid and not objection,
            value=found.value,
            type=kind,
            error=objection,
        )

    def extract_address(self, addresses: Any = None, country: str = "US") -> values.Address:
        """Refuse: this belongs to a hosted service."""
        raise errors.NotConfigured("extract_address is not available here")

    def extract_city(self, city_spellings: Any = None, states: Any = None, country: str = "US") -> values.Address:
        """Refuse: this belongs to a hosted service."""
        raise errors.NotConfigured("extract_city is not available here")
