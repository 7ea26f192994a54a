"""Colours that all eyes tell apart (Okabe and Ito), each with a symbol and a dash of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lrsearch.schedules import families, tuner_families

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#7A7A7A"
COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "pentagon", "star",
           "cross", "hexagram")  # fmt: skip
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "2px,6px,8px,6px")


@dataclass(frozen=True, slots=True)
class Style:
    """How a line or its marks look, in colour and without."""

    color: str
    symbol: str
    dash: str


def style(number: int) -> Style:
    """The look of the first, second, ... thing in a figure; 63 of them differ."""
    return Style(
        COLORS[number % len(COLORS)],
        SYMBOLS[number % len(SYMBOLS)],
        DASHES[number % len(DASHES)],
    )


def family_styles(names: Iterable[str]) -> dict[str, Style]:
    """A look for every schedule family of a study, the same in all its figures."""
    known = [*families(), *tuner_families()]
    order = {name: place for place, name in enumerate(known)}
    found = sorted(set(names), key=lambda name: (order.get(name, len(order)), name))
    return {name: style(number) for number, name in enumerate(found)}
