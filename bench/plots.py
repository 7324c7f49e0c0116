"""Draws the measurements of the other benchmarks as SVG, for docs/performance.md.

python bench/relay.py --json relay.json
python bench/growth.py --json growth.json
python bench/memory.py --json memory.json
python bench/plots.py [--relay relay.json] [--growth growth.json …] [--memory memory.json] --to docs/images
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 36, 48
_COLOURS = ("#14466b", "#c2571a", "#2e7d4f", "#7a4fa3")

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over one axis. `log`: the horizontal axis shows powers; the vertical one begins at 0."""

    title: str
    across: str
    up: str
    lines: dict[str, Points]
    log: bool = False


def _steps(most: float) -> list[float]:
    """Round values from 0 to at least `most`, about five of them."""
    rough = most / 5 or 1.0
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [step * number for number in range(math.ceil(most / step) + 1)]


def svg(chart: Chart) -> str:
    """The drawing. Text takes the colour of the page around it, so that it can be read on light and dark ones."""
    xs = sorted({x for points in chart.lines.values() for x, _ in points})
    ticks = _steps(max(y for points in chart.lines.values() for _, y in points))
    scale: Callable[[float], float] = math.log10 if chart.log else float
    first, last = scale(xs[0]) if chart.log else 0.0, scale(xs[-1])

    def across(x: float) -> float:
        return round(_LEFT + (scale(x) - first) / ((last - first) or 1.0) * (_WIDTH - _LEFT - _RIGHT), 1)

    def up(y: float) -> float:
        return round(_HEIGHT - _BOTTOM - y / ticks[-1] * (_HEIGHT - _TOP - _BOTTOM), 1)

    right, base = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12" fill="#444">',
        f"<title>{escape(chart.title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14" font-weight="bold">{escape(chart.title)}</text>',
    ]
    for tick in ticks:
        parts.append(f'<path d="M{_LEFT} {up(tick)}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{up(tick) + 4}" text-anchor="end">{tick:g}</text>')
    for x in xs if chart.log else _steps(xs[-1])[:-1]:
        parts.append(f'<text x="{across(x)}" y="{base + 18}" text-anchor="middle">{x:,.0f}</text>')
    parts.append(
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(chart.across)}</text>'
    )
    middle = (_TOP + base) / 2
    parts.append(
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">{escape(chart.up)}</text>'
    )
    for number, (name, points) in enumerate(chart.lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        way = " ".join(f"{across(x)},{up(y)}" for x, y in points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across(x)}" cy="{up(y)}" r="3" fill="{colour}"/>' for x, y in points]
        y = _TOP + 12 + number * 18
        parts.append(f'<path d="M{right + 12} {y - 4}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{right + 36}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def relay(rows: Sequence[dict[str, float]]) -> Chart:
    """Throughput beside the bare relay, by conversations."""
    own = [row for row in rows if str(row["against"]) == "vendor"]
    lines = {
        "Warmline": [(row["conversations"], row["round_trips_per_s"]) for row in own],
        "bare relay": [(row["conversations"], row["bare_per_s"]) for row in own],
    }
    return Chart(f"The relay on {own[0]['store']}", "conversations", "round trips a second", lines, log=True)


def growth(rows: Sequence[dict[str, float]]) -> Chart:
    """What a round trip costs, by stored sessions."""
    lines: dict[str, Points] = {}
    for row in rows:
        lines.setdefault(str(row["store"]), []).append((row["sessions"], row["cpu_ms"]))
    return Chart("What a round trip costs", "stored sessions", "processor, ms", lines, log=True)


def memory(samples: Sequence[dict[str, float]]) -> Chart:
    """The server's memory, by conversations that came and went."""
    lines = {"resident memory": [(sample["conversations"], sample["rss_mb"]) for sample in samples]}
    return Chart("Memory while conversations come and go", "conversations so far", "MB", lines)


_KINDS = {"relay": relay, "growth": growth, "memory": memory}


def main(argv: Sequence[str]) -> None:
    """Draw what is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for kind in _KINDS:
        parser.add_argument(f"--{kind}", type=Path, nargs="+", help=f"what bench/{kind}.py wrote with --json")
    parser.add_argument("--to", type=Path, required=True, help="folder for the drawings")
    args = parser.parse_args(argv)
    for kind, draw in _KINDS.items():
        files: list[Path] = getattr(args, kind) or []
        rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
        if rows:
            (args.to / f"performance-{kind}.svg").write_text(svg(draw(rows)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
