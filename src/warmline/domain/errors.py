"""Errors that decide: whether to try again, what the operator does, what the customer may be told."""


class WarmlineError(Exception):
    """Base of everything Warmline raises on purpose.

    `code` is stable and safe to log and to count; the exception's text is for operators and never holds
    customer data; `public_message` is the sentence a customer may see ("" means: nothing to say).
    """

    retryable = False
    """Trying the same thing again may succeed."""
    certain = True
    """We know that it did not take effect. False: look before trying again."""

    def __init__(self, code: str, text: str = "", *, public_message: str = "") -> None:
        super().__init__(text or code)
        self.code = code
        self.public_message = public_message


class RuleViolation(WarmlineError):
    """The session does not allow this now: late or wrong input."""


class Overtaken(RuleViolation):
    """The session is no longer as it was when the change was prepared: prepare it again."""

    def __init__(self) -> None:
        super().__init__("overtaken", "the session has changed meanwhile")


class SessionNotFound(RuleViolation):
    """There is no such session, or it is over (messaging-protocol.md §10)."""

    def __init__(self, text: str = "no such session, or it has ended") -> None:
        super().__init__("session_not_found", text, public_message="Error: Session not found")


class ConfigError(WarmlineError):
    """A setting is missing or wrong. Names the key, never the value."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__("config_error", f"{key}: {text}")
        self.key = key


class DatabaseInUse(ConfigError):
    """Another process works on the database, and this one would be in its way."""


class LeaseLost(WarmlineError):
    """Another node owns this partition now: whatever was being settled must be dropped."""

    def __init__(self) -> None:
        super().__init__("lease_lost")


class StoreUnavailable(WarmlineError):
    """The store did not answer or is full. Nothing was written, unless it is not `certain`: then look first."""

    retryable = True

    def __init__(self, text: str, *, certain: bool = True) -> None:
        super().__init__("store_unavailable", text)
        self.certain = certain


class BusUnavailable(WarmlineError):
    """Other nodes cannot be reached now: what they do is seen late here."""

    retryable = True

    def __init__(self, text: str) -> None:
        super().__init__("bus_unreachable", text)
