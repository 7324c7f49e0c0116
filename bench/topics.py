"""Accuracy, rejection, speed and size of topic routing on a labelled data set.

    python bench/topics.py --train train.csv --test test.csv [--oos oos.csv] [--per-topic N] [--seeds K] [--json FILE]
        [--router lexical|semantic]

As in a project, a topic's name counts as one more sentence about it. The CSV files have the columns `text,category`.
Each row of the result is one setting of the router: with N examples of each topic, drawn with K fixed seeds, or with
all of them (`--per-topic 0`). The rejection columns need `--oos`: at the threshold that loses 5 % of half of the test
set, `oos_recall` is the share of out-of-scope sentences that are rejected and `in_scope_kept` the share of the other
half that is kept. `--router semantic` needs the extra `semantic`.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more threads than free cores only wait for each other

import numpy as np

from warmline.agent.brains.topics.meaning import Encoder, load_encoder
from warmline.agent.brains.topics.router import Router

Rows = list[tuple[str, str]]


def read(path: Path) -> Rows:
    """Give the (text, category) rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["text"], row.get("category") or "") for row in csv.DictReader(file)]


def draw(rows: Rows, per_topic: int, seed: int) -> list[tuple[str, list[str]]]:
    """Give each topic with `per_topic` of its sentences, or with all for 0."""
    topics: dict[str, list[str]] = {}
    for text, category in rows:
        topics.setdefault(category, []).append(text)
    generator = np.random.default_rng(seed)
    drawn = []
    for name in sorted(topics):
        order = generator.permutation(len(topics[name]))
        sentences = [topics[name][i] for i in (order[:per_topic] if per_topic else order)]
        drawn.append((name, [*sentences, name.replace("_", " ")]))
    return drawn


def measure(
    train: Rows, test: Rows, oos: Rows, per_topic: int, seed: int, encoder: Encoder | None
) -> dict[str, float | None]:
    """Fit one router and measure it."""
    topics = draw(train, per_topic, seed)
    names = [name for name, _ in topics]
    started = time.perf_counter()
    router = Router(topics, encoder)
    load_s = time.perf_counter() - started
    right, confidences, taken = 0, [], []
    for text, category in test:
        before = time.perf_counter()
        probabilities = router.probabilities(text)
        taken.append(time.perf_counter() - before)
        best = int(np.argmax(probabilities))
        right += names[best] == category
        confidences.append(float(probabilities[best]))
    result: dict[str, float | None] = {
        "accuracy": right / len(test),
        "ms_per_query": 1000 * statistics.median(taken),
        "load_s": load_s,
        "oos_recall": None,
        "in_scope_kept": None,
    }
    if oos:
        order = np.random.default_rng(seed).permutation(len(confidences))
        half = len(order) // 2
        threshold = float(np.quantile(np.array(confidences)[order[:half]], 0.05))
        strangers = np.array([float(router.probabilities(text).max()) for text, _ in oos])
        result["oos_recall"] = float(np.mean(strangers < threshold))
        result["in_scope_kept"] = float(np.mean(np.array(confidences)[order[half:]] >= threshold))
    return result


def summarize(router: str, per_topic: int, results: list[dict[str, float | None]]) -> dict[str, object]:
    """Give one row of the output for the runs of one setting."""

    def mean(key: str) -> float | None:
        values = [value for result in results if (value := result[key]) is not None]
        return round(statistics.mean(values), 4) if values else None

    accuracies = [result["accuracy"] or 0.0 for result in results]
    return {
        "router": router,
        "per_topic": per_topic or "all",
        "accuracy_mean": mean("accuracy"),
        "accuracy_sd": round(statistics.stdev(accuracies), 4) if len(accuracies) > 1 else 0.0,
        "oos_recall": mean("oos_recall"),
        "in_scope_kept": mean("in_scope_kept"),
        "ms_per_query": mean("ms_per_query"),
        "load_s": mean("load_s"),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--oos", type=Path)
    parser.add_argument("--per-topic", type=int, action="append", help="examples per topic; 0 for all; repeatable")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--router", choices=["lexical", "semantic"], default="lexical")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    train, test = read(options.train), read(options.test)
    oos = read(options.oos) if options.oos else []
    encoder = load_encoder() if options.router == "semantic" else None
    rows = []
    for per_topic in options.per_topic or [10, 0]:
        seeds = range(options.seeds if per_topic else 1)
        results = [measure(train, test, oos, per_topic, seed, encoder) for seed in seeds]
        rows.append(summarize(options.router, per_topic, results))
        print("  ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
