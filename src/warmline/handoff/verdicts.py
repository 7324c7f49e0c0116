"""What a connection test or an inspection finds, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One step of the connection test. `field` names the dialog's field to mend ("" for none)."""

    step: str
    ok: bool
    text: str
    field: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """The steps in order; the first that fails ends the list. `identity` is who they say we are."""

    verdicts: tuple[Verdict, ...]
    identity: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Secrets that changed while checking (a rotated refresh token) and must be saved with the connection."""

    @property
    def ok(self) -> bool:
        """Every step passed."""
        return all(v.ok for v in self.verdicts)
