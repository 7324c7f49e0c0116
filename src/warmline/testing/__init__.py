"""Public helpers for tests: a clock that stands still, ids that count."""

from warmline.testing.clock import ManualClock
from warmline.testing.ids import SequentialIds

__all__ = ["ManualClock", "SequentialIds"]
