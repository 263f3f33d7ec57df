"""Draw requests and CPU by the number of waiting triggers, from the figures that :mod:`.cost` has saved.

::

    python -m benchmarks.polling.cost --json cost.json
    python -m benchmarks.polling.plot cost.json docs/images
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 40, 50
COLOURS = {"ours": "#c74634", "databricks": "#4f7d9d", "sdk_threads": "#8a8580"}
NAMES = {"ours": "RunTrigger", "databricks": "Databricks", "sdk_threads": "SDK in threads"}
CHARTS = {
    "requests": ("requests_per_hour", "Requests per hour, all triggers together", 1.0),
    "cpu": ("cpu_per_hour", "CPU seconds per hour, all triggers together", 1.0),
}

Series = dict[str, list[tuple[float, float]]]


def svg(title: str, series: Series) -> str:
    """Return a chart with a line for each name; both axes are logarithmic."""
    points = [point for line in series.values() for point in line]
    (x0, x1), (y0, y1) = (_decades(axis) for axis in zip(*points, strict=True))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - x0) / (x1 - x0)
        up = (math.log10(y) - y0) / (y1 - y0)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' font-family="sans-serif" font-size="12">',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{title}</text>',
    ]
    for power in range(x0, x1 + 1):
        x, _ = place(10**power, 10**y0)
        elements.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e5e0da"/>')
        elements.append(_text(x, HEIGHT - BOTTOM + 18, f"{10**power:,}", "middle"))
    for power in range(y0, y1 + 1):
        _, y = place(10**x0, 10**power)
        elements.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e5e0da"/>')
        elements.append(_text(LEFT - 8, y + 4, f"{10**power:,}" if power >= 0 else f"{10.0**power:g}", "end"))
    elements.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "waiting triggers", "middle"))
    for name, line in series.items():
        places = [place(*point) for point in line]
        path = " ".join(f"{'ML'[bool(n)]}{x:.1f} {y:.1f}" for n, (x, y) in enumerate(places))
        elements.append(f'<path d="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        elements += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[name]}"/>' for x, y in places]
        x, y = places[-1]
        elements.append(_text(x + 10, y + 4, NAMES[name], "start", COLOURS[name]))
    return "\n".join([*elements, "</svg>", ""])


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Return the powers of ten around the values, at least one decade apart."""
    low = math.floor(math.log10(min(values)))
    return low, max(math.ceil(math.log10(max(values))), low + 1)


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#4a4540") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    figures = json.loads(given.figures.read_text())
    for file, (key, title, scale) in CHARTS.items():
        series = {
            name: [
                (float(count), result[key] * float(count) * scale) for count, result in figures[name].items()
            ]
            for name in NAMES
            if name in figures
        }
        (given.folder / f"polling_{file}.svg").write_text(svg(title, series))


if __name__ == "__main__":
    main()
