"""The voice settings of the project format: accepted, without effect on text channels (agent-project.md §11.4)."""

from typing import Any


class _Voice:
    """Keeps what it was made with."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.args = args
        self.settings = settings
        for name, value in settings.items():
            setattr(self, name, value)


class CustomVoice(_Voice):
    """A voice."""


class ElevenLabsVoice(_Voice):
    """A voice."""


class RimeVoice(_Voice):
    """A voice."""


class CartesiaVoice(_Voice):
    """A voice."""


class PlayHTVoice(_Voice):
    """A voice."""


class MinimaxVoice(_Voice):
    """A voice."""


class HumeVoice(_Voice):
    """A voice."""


class GoogleVoice(_Voice):
    """A voice."""


class GoogleGeminiVoice(_Voice):
    """A voice."""


class XaiVoice(_Voice):
    """A voice."""


class GradiumVoice(_Voice):
    """A voice."""


class HamsaVoice(_Voice):
    """A voice."""


class VoiceWeighting(_Voice):
    """A voice with its share."""


class Emotion(_Voice):
    """How a voice sounds."""


class EmotionKind(_Voice):
    """A named emotion."""


class EmotionIntensity(_Voice):
    """How strong an emotion is."""
