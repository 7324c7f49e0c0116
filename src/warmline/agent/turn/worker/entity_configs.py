"""What `conv.utils.validate_entity` can check, and how (agent-project.md §5.6)."""

import re
from dataclasses import dataclass, field
from datetime import date, time
from enum import StrEnum
from typing import Any

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")


class NumericType(StrEnum):
    """Whether a number may have decimals."""

    INTEGER = "integer"
    DECIMAL = "decimal"


class EntityType(StrEnum):
    """The types of entities."""

    NUMERIC = "numeric"
    QUANTITY = "quantity"
    CURRENCY = "currency"
    ALPHANUMERIC = "alphanumeric"
    ENUM = "enum"
    DATE = "date"
    PHONE_NUMBER = "phone_number"
    TIME = "time"
    ADDRESS = "address"
    EMAIL = "email"
    FREE_TEXT = "free_text"
    NAME = "name_config"


class EntityConfig:
    """What a value must be. `form` is the type and the settings of the same entity in `config/entities.yaml`."""

    def form(self) -> tuple[str, dict[str, Any]]:
        """Give the type and the settings."""
        return "free_text", {}

    def objection(self, value: str) -> str:
        """Tell what is wrong with a value that has the form; empty when nothing is."""
        return ""


@dataclass
class NumericConfig(EntityConfig):
    """A number between two others, which count."""

    min_inclusive: float | None = None
    max_inclusive: float | None = None
    numeric_type: NumericType | str = NumericType.INTEGER

    def form(self) -> tuple[str, dict[str, Any]]:
        """Give the type and the settings."""
        return "numeric", {"has_decimal": str(self.numeric_type) == NumericType.DECIMAL}

    def objection(self, value: str) -> str:
        """Tell what is wrong."""
        number = float(value)
        if self.min_inclusive is not None and number < self.min_inclusive:
            return f"it is less than {self.min_inclusive:g}"
        if self.max_inclusive is not None and number > self.max_inclusive:
            return f"it is more than {self.max_inclusive:g}"
        return ""


@dataclass
class QuantityConfig(NumericConfig):
    """How many of something."""


@dataclass
class CurrencyConfig(NumericConfig):
    """An amount of money."""

    numeric_type: NumericType | str = NumericType.DECIMAL


@dataclass
class NameConfig(EntityConfig):
    """A person's name."""

    def form(self) -> tuple[str, dict[str, Any]]:
        """Give the type and the settings."""
        return "name_config", {}


@dataclass
class FreeTextConfig(EntityConfig):
    """Any text."""


@dataclass
class AlphanumericConfig(EntityConfig):
    """A code; `custom_regex` must match the whole of it."""

    custom_regex: str | None = None
    capturing_group: int | None = None

    def form(self) -> tuple[str, dict[str, Any]]:
        """Give the type and the settings."""
        if not self.custom_regex:
            return "alphanumeric", {}
        return "alphanumeric", {
            "enabled": True,
            "validation_type": "custom",
            "regular_expression": self.custom_regex,
        }


@dataclass
class DateConfig(EntityConfig):
    """A day between two others, which count."""

    day_first: bool = False
    earliest_date_inclusive: date | str | None = None
    latest_date_inclusive: date | str | None = None

    def form(self) -> tuple[str, dict[str, Any]]:
        """Give the type and the settings."""
        return "date", {"relative_date": True}

    def objection(self, value: str) -> str:
        """Tell what is wrong."""
        if self.earliest_date_inclusive is not None and value < str(self.earliest_date_inclusive):
            return f"it is before {self.earliest_date_inclusive}"
        if self.latest_date_inclusive is not None and value > str(self.latest_date_inclusive):
            return f"it is after {self.latest_date_inclusive}"
        return ""


@dataclass
class EmailConfig(EntityConfig):
    """An e-mail address."""

    def objection(self, value: str) -> str:
        """Tell what is wrong."""
        return "" if _EMAIL.fullmatch(value) else "it is no e-mail address"


@dataclass
class TimeConfig(EntityConfig):
    """A time of day between two others, which count."""

    format: str | None = None
    earliest_time_inclusive: time | str | None = None
    latest_time_inclusive: time | str | None = None
    time_pivot: Any = None

    def form(self) -> tuple[str, dict[str, Any]]:
        """Give the type and the settings."""
        return "time", {}

    def objection(self, value: str) -> str:
        """Tell what is wrong."""
        if self.earliest_time_inclusive is not None and value < _clock(self.earliest_time_inclusive):
            return f"it is before {_clock(self.earliest_time_inclusive)}"
        if self.latest_time_inclusive is not None and value > _clock(self.latest_time_inclusive):
            return f"it is after {_clock(self.latest_time_inclusive)}"
        return ""


@dataclass
class PhoneNumberConfig(EntityConfig):
    """A phone number of one of these countries (ISO 3166 alpha-2); any when there are none."""

    regions: set[str] = field(default_factory=set)

    def form(self) -> tuple[str, dict[str, Any]]:
        """Give the type and the settings."""
        return "phone_number", {"enabled": bool(self.regions), "country_codes": sorted(self.regions)}


@dataclass
class EnumConfig(EntityConfig):
    """One of these texts."""

    allowed_vals: set[str] = field(default_factory=set)

    def form(self) -> tuple[str, dict[str, Any]]:
        """Give the type and the settings."""
        return "enum", {"options": sorted(self.allowed_vals)}


def _clock(value: time | str) -> str:
    return value.strftime("%H:%M") if isinstance(value, time) else value
