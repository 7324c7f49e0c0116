"""Smaller members of `conv` (agent-project.md §5.1 and §5.3)."""

import datetime
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from warmline.agent.turn.worker import values
from warmline.agent.turn.worker.errors import InvalidInput, NotConfigured
from warmline.agent.turn.worker.plain import plain_text


class Webchat:
    """`conv.webchat`: what only a web chat can show."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.chat_call_actions: list[values.ChatCallAction] = []

    def set_chat_call_actions(self, actions: list[values.ChatCallAction]) -> None:
        """Show these call buttons beside the next message."""
        self.chat_call_actions = list(actions)


class Translations:
    """`conv.translations`: `.name` gives the text in the conversation's language."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]], language: Callable[[], str]) -> None:
        """Look texts up in `texts`, by name and language."""
        self._texts = texts
        self._language = language

    def __getattr__(self, name: str) -> str:
        """Give the text; the first language's when the current one has none.

        Raises:
            AttributeError: there is no translation of that name.
        """
        if name not in self._texts:
            raise AttributeError(f"there is no translation `{name}`")
        by_language = self._texts[name]
        return by_language.get(self._language(), next(iter(by_language.values()), ""))


class KnowledgeBase:
    """`conv.knowledge_base`: which topics may be found."""

    def __init__(self, disabled: Iterable[str]) -> None:
        """Start with the topics that are disabled now."""
        self.disabled_topics = list(disabled)
        self.changed = False

    def disable_topics(self, names: Iterable[str]) -> None:
        """Leave these topics out, too, until they are enabled again."""
        self.set([*self.disabled_topics, *map(plain_text, _names(names))])

    def enable_topics(self, names: Iterable[str]) -> None:
        """Use these topics again."""
        again = {plain_text(name) for name in _names(names)}
        self.set(name for name in self.disabled_topics if name not in again)

    def enable_all_topics(self) -> None:
        """Use all topics again."""
        self.set(())

    def set(self, names: Iterable[str]) -> None:
        """Leave just these topics out."""
        self.disabled_topics = list(dict.fromkeys(plain_text(name) for name in _names(names)))
        self.changed = True


def _names(names: Iterable[str]) -> Iterable[str]:
    if isinstance(names, str):
        raise InvalidInput("topics are given as a list of names")
    return names


def moment(at_ms: int) -> datetime.datetime:
    """Give the moment that is `at_ms` milliseconds after the epoch, in UTC."""
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)


class Clock:
    """`conv.clock`: the time of the conversation, which `simulated_at` sets in a test."""

    def __init__(self, at_ms: int | None, timezone: str = "UTC") -> None:
        """Stand at `at_ms`, milliseconds since the epoch; at the present moment when None."""
        self._at_ms = at_ms
        self.timezone = timezone

    def now_utc(self) -> datetime.datetime:
        """Give the time in UTC."""
        if self._at_ms is None:
            return datetime.datetime.now(datetime.UTC)
        return moment(self._at_ms)

    def now(self) -> datetime.datetime:
        """Give the time in the clock's time zone."""
        return self.now_utc().astimezone(zoneinfo.ZoneInfo(self.timezone))

    def today(self) -> datetime.date:
        """Give the day in the clock's time zone."""
        return self.now().date()


class CxOne:
    """`conv.cxone`: on a text channel its handoff is one as any other."""

    contact_id: str | None = None

    def __init__(self, hand_off: Callable[..., None], note: Callable[[str], None]) -> None:
        """Ask for a human with `hand_off`; `note` what has no effect."""
        self._hand_off = hand_off
        self._note = note

    def handoff(self, *args: Any, **named: Any) -> None:
        """Ask for a human; what is given travels along as the handoff's options."""
        destination = named.get("destination") or named.get("skill") or (args[0] if args else "cxone")
        self._hand_off(destination, named.get("reason"), named.get("utterance"), options={"cxone": named})

    def signal(self, *args: Any, **named: Any) -> None:
        """Do nothing: there is no call to signal on."""
        self._note("cxone.signal")


class NotHere:
    """A member that belongs to a hosted service: it exists, and says so when it is used."""

    def __init__(self, name: str) -> None:
        """Stand for `conv.<name>`."""
        self._name = name

    def __getattr__(self, name: str) -> "NotHere":
        """Give a part of it."""
        if name.startswith("__"):
            raise AttributeError(name)
        return NotHere(f"{self._name}.{name}")

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Refuse."""
        raise NotConfigured(f"conv.{self._name} belongs to a hosted service that is not connected here")
