"""What the use of language models comes to, in numbers."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from warmline.agent.models.port import FailureKind, ModelAnswer


class ModelMetrics:
    """Counters of requests, failures and tokens; they hold no text and nobody's id."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register the metrics in `registry`; nowhere when None."""
        registry = registry or CollectorRegistry()
        self._requests = Counter(
            "warmline_llm_requests",
            "Requests to language models, by what came of them. When others than answered rise: the endpoint's status, "
            "its limits and its key.",
            ["purpose", "outcome"],
            registry=registry,
        )
        self._tokens = Counter(
            "warmline_llm_tokens",
            "Tokens counted by the endpoint (prompt, completion): what it costs. When it is high: shorter rules and "
            "topics, or fewer topics in a prompt.",
            ["purpose", "kind"],
            registry=registry,
        )
        self._seconds = Histogram(
            "warmline_llm_answer_seconds",
            "Time to a whole answer, retries included. When it is high: the endpoint is slow; a smaller model.",
            ["purpose"],
            buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32),
            registry=registry,
        )

    def failed(self, purpose: str, kind: FailureKind) -> None:
        """Count an attempt that failed."""
        self._requests.labels(purpose, kind.value).inc()

    def answered(self, purpose: str, answer: ModelAnswer, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(purpose, "answered").inc()
        self._tokens.labels(purpose, "prompt").inc(answer.usage.prompt)
        self._tokens.labels(purpose, "completion").inc(answer.usage.completion)
        self._seconds.labels(purpose).observe(seconds)
