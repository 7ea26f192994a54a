"""The most important figure without any script: metric against peak rate, as inline SVG."""

from __future__ import annotations

import math
from typing import Any

from lrsearch.visualization._report._facts import Facts
from lrsearch.visualization._report._html import Html, capital, number, plural, tag

WIDTH, HEIGHT = 720, 330
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 34, 64
# One outline for each family; they differ without colour.
SHAPES = (
    "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0Z",
    "M-5 -5H5V5H-5Z",
    "M0 -6L6 5H-6Z",
    "M0 -6L6 0L0 6L-6 0Z",
    "M0 6L6 -5H-6Z",
    "M-5 -5L5 5M-5 5L5 -5",
    "M0 -6V6M-6 0H6",
    "M-6 0L-3 -5H3L6 0L3 5H-3Z",
)


def glance(facts: Facts) -> Html:
    """All trials with a peak rate; finished ones by metric, stopped ones as ticks below."""
    done = [r for r in facts.finished if r["peak"] and r["metric"] is not None]
    done = [r for r in done if math.isfinite(r["metric"])]
    stopped = [r for r in facts.rows if r["peak"] and r["state"] == "pruned"]
    if len(done) < 2:
        return Html()
    across = _Scale([r["peak"] for r in [*done, *stopped]], LEFT, WIDTH - RIGHT, log=True)
    values = [r["metric"] for r in done]
    up = _Scale(values, HEIGHT - BOTTOM, TOP, log=min(values) > 0)
    names = list(dict.fromkeys(r["family"] for r in done))
    own = facts.best_row
    parts: list[Html] = [_frame(), *_ticks(across, up, facts.metric)]
    for row in stopped:
        x = f"{across(row['peak']):.1f}"
        low = HEIGHT - BOTTOM
        tip = tag("title", f"trial {row['trial']}, stopped: {row['reason']}")
        parts.append(tag("path", tip, d=f"M{x} {low}v-9", class_="stop"))
    for row in done:
        at = f"translate({across(row['peak']):.1f} {up(row['metric']):.1f})"
        best = own is not None and row["trial"] == own["trial"]
        tip = tag("title", f"trial {row['trial']}, {row['family']}, peak {number(row['peak'])}, "
                  f"{facts.metric} {number(row['metric'])}")  # fmt: skip
        shape = SHAPES[names.index(row["family"]) % len(SHAPES)]
        parts.append(
            tag("path", tip, d=shape, transform=at, class_="lone mark" if best else "mark")
        )
    parts += _legend(names, bool(stopped))
    said = _said(facts, done, stopped)
    drawing = tag(
        "svg", parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="glance", role="img",
        aria_label=said,
    )  # fmt: skip
    return tag("figure", tag("div", drawing, class_="wide"), tag("figcaption", said))


class _Scale:
    """Values to pixels, with a margin on either side."""

    def __init__(self, values: list[float], low: float, high: float, *, log: bool) -> None:
        self.log, self._pixels = log, (low, high)
        known = [self._of(v) for v in values]
        margin = 0.06 * (max(known) - min(known)) or 0.5
        self._ends = min(known) - margin, max(known) + margin

    def _of(self, value: float) -> float:
        return math.log(value) if self.log else value

    def __call__(self, value: float) -> float:
        (a, b), (low, high) = self._ends, self._pixels
        return low + (self._of(value) - a) / (b - a) * (high - low)

    def ticks(self) -> list[float]:
        """Four numbers, evenly spaced, rounded to two digits that matter."""
        a, b = self._ends
        places = [a + (b - a) * share for share in (0.08, 0.36, 0.64, 0.92)]
        values = [math.exp(p) if self.log else p for p in places]
        return [float(f"{v:.2g}" if self.log else f"{v:.3g}") for v in values]


def _frame() -> Html:
    low, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    return tag("path", d=f"M{LEFT} {TOP}V{low}H{right}", class_="axis")


def _ticks(across: _Scale, up: _Scale, metric: str) -> list[Html]:
    low = HEIGHT - BOTTOM
    parts = [
        tag("text", number(v), x=f"{across(v):.0f}", y=str(low + 18), text_anchor="middle")
        for v in across.ticks()
    ]
    parts += [
        tag("text", number(v), x=str(LEFT - 8), y=f"{up(v) + 4:.0f}", text_anchor="end")
        for v in up.ticks()
    ]
    middle = str((LEFT + WIDTH - RIGHT) // 2)
    parts.append(tag("text", "peak learning rate", x=middle, y=str(low + 36), text_anchor="middle"))
    parts.append(tag("text", metric, x="4", y="16"))
    return parts


def _legend(names: list[str], stopped: bool) -> list[Html]:
    parts, x, y = [], LEFT, HEIGHT - 8
    for i, name in enumerate(names):
        shape = SHAPES[i % len(SHAPES)]
        parts.append(tag("path", d=shape, transform=f"translate({x} {y - 4})", class_="mark"))
        parts.append(tag("text", name, x=str(x + 10), y=str(y), class_="name"))
        x += 28 + 7 * len(name)
    if stopped:
        parts.append(tag("path", d=f"M{x} {y}v-9", class_="stop"))
        parts.append(tag("text", "stopped", x=str(x + 8), y=str(y), class_="name"))
    return parts


def _said(facts: Facts, done: list[dict[str, Any]], stopped: list[dict[str, Any]]) -> str:
    rates = [r["peak"] for r in [*done, *stopped]]
    own = facts.best_row
    winner = "" if own is None else (
        f" The winner, filled, has {number(own['metric'])} at {number(own['peak'])}."
    )  # fmt: skip
    ticks = f" Ticks at the bottom are {plural(len(stopped), 'trial')} stopped." if stopped else ""
    return (
        f"{capital(facts.metric)} of {plural(len(done), 'finished trial')} against the peak "
        "learning rate, "
        f"{number(min(rates))} to {number(max(rates))}, a mark for each family.{winner}{ticks}"
    )
