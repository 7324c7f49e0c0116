"""Bodies of the chat REST API (messaging-protocol.md §16); the API's document is made from these."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

ConversationId = Annotated[str, Meta(min_length=1, max_length=64, description="The conversation, as `create` gave it.")]


# Without the look-ahead, Python's `$` would let a final newline pass.
_Variant = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_ .:-]{1,128}$(?!\n)")]
_Language = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$(?!\n)")]


class CreateBody(msgspec.Struct, kw_only=True):
    """What the conversation begins with; all of it may be left out."""

    variant_id: Annotated[
        _Variant | None,
        Meta(
            description="Name of a variant of the project; the connector's when left out. "
            "With a name that the project does not have, the default variant answers."
        ),
    ] = None
    integration_attributes: Annotated[
        dict[str, Any] | None, Meta(description="What functions find in `conv.integration_attributes`.")
    ] = None
    channel: Literal["webchat", "whatsapp", "sms", "api"] | None = None
    asr_lang_code: Annotated[_Language | None, Meta(description="Language of the customer, such as en-GB.")] = None
    tts_lang_code: Annotated[_Language | None, Meta(description="Language of the answers, when it is another one.")] = (
        None
    )


class CreateAnswer(msgspec.Struct, kw_only=True):
    """The conversation and its greeting."""

    conversation_id: str
    response: str


class RespondBody(msgspec.Struct, kw_only=True):
    """What the customer wrote. The last three are taken and change nothing once the conversation has begun."""

    conversation_id: ConversationId
    message: str = ""
    integration_attributes: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    asr_lang_code: str | None = None


class HandoffTold(msgspec.Struct, kw_only=True):
    """Where the virtual agent wants the conversation to go on, and why."""

    destination: str
    reason: str


class RespondAnswer(msgspec.Struct, kw_only=True):
    """What the virtual agent says. With `end_conversation` it says no more; with `handoff` a human is asked in."""

    conversation_id: str
    response: str
    end_conversation: bool
    handoff: HandoffTold | msgspec.UnsetType = msgspec.UNSET


class CloseBody(msgspec.Struct, kw_only=True):
    """Which conversation is over."""

    conversation_id: ConversationId


class CloseAnswer(msgspec.Struct, kw_only=True):
    """It is over."""

    success: bool


class EventsAnswer(msgspec.Struct, kw_only=True):
    """What happened after the given sequence, as events of the messaging protocol; `ended`: nothing will follow."""

    conversation_id: str
    events: list[dict[str, Any]]
    ended: bool


class Refusal(msgspec.Struct, kw_only=True):
    """Every error. `error_id` is the value of the header X-PolyAI-Correlation-Id."""

    success: bool
    error: str
    error_id: str
    error_code: Annotated[str, Meta(pattern="^[A-Z][A-Z_]*$")]
    error_message: str
    data: None = None
