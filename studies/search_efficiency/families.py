"""The recorded schedule shapes, and which of them are the same run until they part."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lrsearch.schedules import Schedule


@dataclass(frozen=True)
class Shape:
    """A schedule family with its shape parameters fixed.

    Attributes:
        label: What tables call it.
        family: The schedule family.
        parameters: Its shape parameters.
    """

    label: str
    family: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def schedule(self, peak: float, budget: int) -> Schedule:
        """At a peak learning rate, over a budget of steps."""
        return Schedule(self.family, peak, budget, dict(self.parameters))


SHAPES = {
    shape.label: shape
    for shape in (
        Shape("constant", "constant"),
        Shape("linear", "linear"),
        Shape("cosine", "cosine"),
        Shape("wsd", "wsd", {"cooldown": 0.2, "cooldown_shape": "1-sqrt"}),
        Shape("uba-0.5", "uba", {"phi": 0.5}),
        Shape("uba-5", "uba", {"phi": 5.0}),
    )
}
# WSD is the constant run until its cooldown: trained once, copied where they part.
TOGETHER = ("constant", "wsd")


def groups(labels: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Shapes that are trained in one run; the first of a group is trunk to the others.

    Raises:
        SystemExit: If a label is none of `SHAPES`.
    """
    unknown = [label for label in labels if label not in SHAPES]
    if unknown or not labels:
        raise SystemExit(f"unknown families {unknown}: choose from {', '.join(SHAPES)}.")
    shared = set(TOGETHER) <= set(labels)
    alone = [(label,) for label in labels if not (shared and label in TOGETHER)]
    return ([TOGETHER] if shared else []) + alone


def parting(trunk: Schedule, branch: Schedule) -> int:
    """First step at which two schedules of the same budget differ."""
    pairs = zip(trunk.values(), branch.values(), strict=True)
    return next((step for step, (a, b) in enumerate(pairs) if a != b), trunk.budget)
