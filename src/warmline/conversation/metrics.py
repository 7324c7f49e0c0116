"""What turns of the virtual agent come to, in numbers: no text, no name of a function."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from warmline.domain.turn import TurnOutcome

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class TurnMetrics:
    """Counters of turns and of the functions in them."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register the metrics in `registry`; nowhere when None."""
        registry = registry or CollectorRegistry()
        self._turns = Histogram(
            "warmline_turn_seconds",
            "How long turns of the virtual agent took, by result (answered, failed). When it is high: "
            "warmline_function_seconds and warmline_llm_answer_seconds say which part; when failed rises: the log's "
            "turn.finding lines name file and line.",
            ("project", "result"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._functions = Histogram(
            "warmline_function_seconds",
            "How long functions of projects ran. When it is high: a function waits for somebody else's system; the "
            "conversation's page in the Studio names it.",
            ("project",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._failures = Counter(
            "warmline_function_failures",
            "Functions that failed or were ended at a limit. When it rises: the conversation's page in the Studio "
            "shows the error with file and line.",
            ("project",),
            registry=registry,
        )

    def ran(self, project_id: str, outcome: TurnOutcome, milliseconds: int) -> None:
        """Count a turn and its functions."""
        result = "failed" if outcome.failed else "answered"
        self._turns.labels(project_id, result).observe(max(0, milliseconds) / 1000)
        for call in outcome.calls:
            self._functions.labels(project_id).observe(call.duration_ms / 1000)
            if call.error:
                self._failures.labels(project_id).inc()
