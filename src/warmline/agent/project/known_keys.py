"""Which keys the files of a project may hold (agent-project.md §2), so that a misspelt one is found."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from warmline.agent.project.yaml_files import Fields, Problems

# A shape is None (anything), a tuple of the values allowed, a mapping of keys to shapes (its key ANY_NAME stands for
# every name), or a list of one such mapping for a list of mappings.
Shape = Any
ANY_NAME = "*"

_GREETING = {"welcome_message": None, "language_code": None}
_CHANNEL = {
    "greeting": _GREETING,
    "style_prompt": {"prompt": None},
    "disclaimer_messages": None,
    "filler_phrases": None,
    "background_ambience": None,
}
_INACTIVITY = {"after_hours": None, "grace_minutes": None}
_SAFETY = {"enabled": None, "categories": None}
_EFFORTS = ("unspecified", "minimal", "low", "medium", "high", "auto")
_LLM = {"provider_model_id": None, "reasoning_effort": _EFFORTS}

TOPIC: Shape = dict.fromkeys(("name", "enabled", "actions", "content", "example_queries", "tags"))
FLOW: Shape = {"name": None, "description": None, "start_step": None}
STEP: Shape = {
    **dict.fromkeys(("step_type", "name", "prompt", "extracted_entities")),
    **dict.fromkeys(("asr_biasing", "dtmf_config", "asr", "vad", "barge_in")),
    "llm": _LLM,
    "conditions": [
        {
            **dict.fromkeys(("name", "description", "child_step", "required_entities")),
            "condition_type": ("step_condition", "exit_flow_condition"),
        }
    ],
}
FILES: Mapping[str, Shape] = {
    "project.yaml": None,
    "agent_settings/personality.yaml": {
        "adjectives": dict.fromkeys(("Polite", "Calm", "Kind", "Funny", "Energetic", "Thoughtful", "Other")),
        "custom": None,
    },
    "agent_settings/role.yaml": {"value": None, "additional_info": None, "custom": None},
    "agent_settings/languages.yaml": {"default_language": None, "additional_languages": None},
    "agent_settings/safety_filters.yaml": _SAFETY,
    "agent_settings/guardrails.yaml": None,
    "chat/safety_filters.yaml": _SAFETY,
    "chat/configuration.yaml": _CHANNEL,
    "chat/phrases.yaml": None,
    "chat/handoff_routes.yaml": None,
    "sms/safety_filters.yaml": _SAFETY,
    "sms/configuration.yaml": {
        **_CHANNEL,
        "sentences": None,
        "inactivity": _INACTIVITY,
        "numbers": {ANY_NAME: {"sentences": None, "inactivity": _INACTIVITY}},
    },
    "voice/configuration.yaml": _CHANNEL,
    "voice/safety_filters.yaml": _SAFETY,
    "voice/response_control/phrase_filtering.yaml": {
        "phrase_filtering": [
            dict.fromkeys(
                ("name", "description", "regular_expressions", "say_phrase", "language_code", "function"),
            )
        ]
    },
    "voice/response_control/pronunciations.yaml": None,
    "voice/speech_recognition/asr_settings.yaml": {
        "barge_in": None,
        "interaction_style": ("balanced", "precise", "swift", "sonic", "turbo"),
    },
    "voice/speech_recognition/keyphrase_boosting.yaml": {
        "keyphrases": [{"keyphrase": None, "level": ("default", "boosted", "maximum")}]
    },
    "voice/speech_recognition/transcript_corrections.yaml": {
        "corrections": [dict.fromkeys(("name", "description", "regular_expressions"))]
    },
    "config/entities.yaml": {"entities": [dict.fromkeys(("name", "description", "entity_type", "config"))]},
    "config/handoffs.yaml": {
        "handoffs": [
            {
                **dict.fromkeys(("name", "description", "is_default")),
                "sip_config": {
                    "method": ("invite", "refer", "bye"),
                    "phone_number": None,
                    "outbound_endpoint": None,
                    "outbound_encryption": ("TLS/SRTP", "UDP/RTP"),
                },
                "sip_headers": [{"key": None, "value": None}],
            }
        ]
    },
    "config/sms_templates.yaml": {
        "sms_templates": [
            {"name": None, "text": None, "env_phone_numbers": dict.fromkeys(("sandbox", "pre_release", "live"))}
        ]
    },
    "config/api_integrations.yaml": {
        "api_integrations": [dict.fromkeys(("name", "description", "environments", "operations"))]
    },
    "config/translations.yaml": {"translations": [{"name": None, "translations": None}]},
    "config/variant_attributes.yaml": {
        "variants": [{"name": None, "is_default": None}],
        "attributes": [
            {
                **dict.fromkeys(("name", "description", "values", "config")),
                "kind": ("string", "number", "boolean", "enum", "object"),
            }
        ],
    },
    "config/mcp.yaml": {
        "mcp_servers": [dict.fromkeys(("provider_id", "url", "auth", "timeout", "enabled_functions"))],
    },
}
"""The shape of every YAML file that has a fixed place."""


_MODEL = {
    "provider_model_id": None,
    "inference_parameters": {
        **dict.fromkeys(("max_tokens", "temperature", "top_p")),
        "verbosity": ("low", "medium", "high"),
        "reasoning_effort": ("none", *_EFFORTS),
    },
    "include_kb_functions_in_flows": None,
}
EXPERIMENTAL: Shape = {
    "llm": {
        **_MODEL,
        "channel_overrides": {ANY_NAME: _MODEL},
        "variant_overrides": {ANY_NAME: _MODEL},
        "flow_overrides": {ANY_NAME: {**_MODEL, "steps": {ANY_NAME: _MODEL}}},
    },
    "ragdoll": dict.fromkeys(
        (
            *("threshold", "top_k", "in_flow_threshold", "qa_metric_threshold", "history_len"),
            *("previous_user_inputs_len", "soft_threshold", "channel_topic_exclusions", "qa_metric_exclusions"),
            "feature_flags",
        )
    ),
    "prompts": dict.fromkeys(
        (
            *("silence", "function_not_found", "context_information_precursor", "context_information"),
            *("non_english_system", "non_english_rag", "step_header", "step_footer", "webchat_decorator"),
            *("sms_decorator", "rcs_decorator", "whatsapp_decorator", "voice_decorator"),
            "language_switching_instructions",
        )
    ),
    "webchat": {"llm_wrapped_utterances": None},
    "memory": {
        "identifier_source": None,
        "repeat_caller": dict.fromkeys(("state_keys", "analytics_enabled", "identifier_blacklist")),
    },
    "handoff_api": dict.fromkeys(("state_keys", "aliases", "shared_id_state_key")),
    "verified_context": {"enabled": None},
    "language_switching": {"explicit_only": None},
    "email": {"sending_enabled": None},
    # What only voice has, and what only the format's home runs, is taken as it is.
    **dict.fromkeys(
        (
            *("conversation_control", "filler_utterances", "webhooks", "ab", "polyff", "gated_functions", "asr"),
            *("vad", "eot", "smart_vad", "barge_in", "audio_enhancement", "tts_postprocessing", "backchannelling"),
            *("background_track", "dtmf", "realtime", "agentic_dial", "csat_sms"),
        )
    ),
}
"""The shape of `agent_settings/experimental_config.json` (agent-project.md §10)."""


def check_keys(fields: Fields, shape: Shape, problems: Problems) -> None:
    """Warn about keys that mean nothing and about values that are none of those allowed."""
    if not isinstance(shape, Mapping):
        return
    for key, value in fields.values.items():
        if key not in shape and ANY_NAME not in shape:
            _unknown_key(fields, key, shape, problems)
            continue
        inner = shape[key] if key in shape else shape[ANY_NAME]
        if isinstance(inner, tuple):
            if value is not None and str(value) not in inner:
                problems.warning(
                    "unknown-value",
                    f"`{key}` cannot be `{value}`.",
                    fields.file,
                    fields.line(key),
                    f"Use one of {', '.join(inner)}.",
                )
        elif isinstance(inner, Mapping) and isinstance(value, Mapping):
            check_keys(fields.child(key), inner, problems)
        elif isinstance(inner, list) and isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
            for item in fields.children(key):
                check_keys(item, inner[0], problems)


def _unknown_key(fields: Fields, key: str, shape: Mapping[str, Shape], problems: Problems) -> None:
    near = get_close_matches(key, shape, n=1)
    known = f"Known are {', '.join(shape)}."
    problems.warning(
        "unknown-key",
        f"`{key}` means nothing here and has no effect.",
        fields.file,
        fields.line(key),
        f"Did you mean `{near[0]}`? {known}" if near else known,
    )
