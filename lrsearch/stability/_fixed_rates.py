"""Where fixed learning rates lead within a budget: converging, chaotic, diverging[^1].

A run holds one rate, and is annealed at its end. The level ``L(r)`` is its training loss before
that, the quality ``Q(r)`` its metric after it. With ``r*`` the rate of the lowest level (between
the runs, see `regime_map`; the largest one, where several have solved their training set: a level
under a hundredth of the start is as low as any other)

- 1, convergence: ``r <= r*``; time limits the run, a smaller rate gives a higher level
- 2, chaotic equilibrium: ``r* < r``; noise limits it, the level rises with the rate
- 2A: its lower part, as far as it anneals to no worse than regime 1 does; 2B: the rest
- 3, divergence: the level stays above ``STUCK`` of the start, or is not finite

The paper trains until nothing changes any more; within a budget the thresholds fall as it grows.

[^1]: Sadrtdinov, Kodryan, Pokonechny, Lobacheva, Vetrov, "Where Do Large Learning Rates Lead Us?",
    NeurIPS 2024, arXiv 2410.22113.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any, Literal

import numpy as np

from lrsearch.stability._plain import plain

FixedRegime = Literal["1", "2A", "2B", "3"]
SOLVED = 0.01  # of the start: a training set that is solved
STUCK = 0.8  # of the start, as `phase` has it
TOLERANCE = 0.02  # of the best quality: no worse
SURE = 2.0  # standard errors
NEAR = 1.1  # octaves that a parabola reaches
BESIDE = 0.9  # of the way to a neighbour: as far as its vertex may lie


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRate:
    """One run at a fixed rate.

    Attributes:
        rate: Learning rate.
        start: Training loss at the start, before any update.
        losses: Training loss before annealing, as means over consecutive blocks of the same
            batches for every rate; empty where it was not finite.
        plain: Metric before annealing; NaN where there is none.
        annealed: Metric after annealing; NaN where there is none.
        cost: Full runs.
    """

    rate: float
    start: float
    losses: tuple[float, ...]
    plain: float = math.nan
    annealed: float = math.nan
    cost: float = 1.0

    @property
    def level(self) -> float:
        """Mean training loss before annealing, no less than a solved training set's."""
        return max(self.loss, SOLVED * self.start)

    @property
    def loss(self) -> float:
        """Mean training loss before annealing; infinite where it was not finite."""
        return mean(self.losses) if self.losses else math.inf

    @property
    def diverged(self) -> bool:
        """Whether it learnt next to nothing, or its loss was not finite.

        Far below `r*` this says that the rate is too small.
        """
        return not self.level < STUCK * self.start

    @property
    def solved(self) -> bool:
        """Whether its training set is solved."""
        return self.level <= SOLVED * self.start

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe form; a number that is not finite is ``None``."""
        fields = {name: plain(value) for name, value in asdict(self).items()}
        return {**fields, "losses": list(self.losses)}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> FixedRate:
        """Read `to_dict`'s form."""
        fields: dict[str, Any] = {n: math.nan if v is None else v for n, v in document.items()}
        return cls(**fields | {"losses": tuple(document["losses"])})


@dataclass(frozen=True, slots=True)
class Threshold:
    """A learning rate at which a regime ends.

    Attributes:
        rate: The estimate.
        low: Highest rate that is known to lie below it, as far as seed noise lets one know; 0 for
            none.
        high: Lowest rate that is known to lie above it; infinite for none.
    """

    rate: float
    low: float
    high: float

    @property
    def octaves(self) -> float:
        """From the lower to the higher."""
        return math.log2(self.high / self.low) if self.low > 0 else math.inf

    def to_dict(self) -> dict[str, float | None]:
        """Plain JSON-safe form; a number that is not finite is ``None``."""
        return {name: plain(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class RegimeMap:
    """The regimes of a task at one budget.

    Attributes:
        runs: What was trained, by rising rate.
        convergence: Between 1 and 2.
        good: Between 2A and 2B; at `convergence` where there is no 2A.
        divergence: Between 2 and 3; its upper bound is infinite where no large rate diverged.
        maximize: Whether a good metric is a large one.
    """

    runs: tuple[FixedRate, ...]
    convergence: Threshold
    good: Threshold
    divergence: Threshold
    maximize: bool = False

    def regime(self, rate: float) -> FixedRegime:
        """The regime of a rate."""
        if rate <= self.convergence.rate:
            return "1"
        if rate >= self.divergence.rate and math.isfinite(self.divergence.high):
            return "3"
        return "2A" if rate <= self.good.rate else "2B"

    @property
    def best(self) -> FixedRate:
        """The run of the best annealed metric."""
        return self.runs[_best(self.runs, self.maximize)]

    @property
    def cost(self) -> float:
        """Full runs."""
        return sum(run.cost for run in self.runs)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe form."""
        return {
            "convergence": self.convergence.to_dict(),
            "good": self.good.to_dict(),
            "divergence": self.divergence.to_dict(),
            "best": self.best.rate,
            "cost": self.cost,
            "runs": [run.to_dict() | {"regime": self.regime(run.rate)} for run in self.runs],
        }


def regime_map(runs: Iterable[FixedRate], *, maximize: bool = False) -> RegimeMap:
    """The thresholds that these runs tell, and how well.

    The first is the vertex of the parabola through the logarithms of the levels within an octave
    of ``r*``, or halfway (in octaves) to the next rate where the training set is solved; its
    bounds are the nearest rates on both sides, but for those (in a row from ``r*`` on) whose level
    does not differ from the lowest by two standard errors of the paired difference. The others lie
    halfway between two rates, the bounds.

    Args:
        runs: Of one task and budget, with the same batches.
        maximize: Whether a good metric is a large one.

    Raises:
        ValueError: If no run has learnt anything.
    """
    ordered = tuple(sorted(runs, key=lambda run: run.rate))
    if not ordered or ordered[bottom := lowest(ordered)].diverged:
        raise ValueError(untrained(ordered))
    convergence = _convergence(ordered, bottom)
    last = last_good(ordered, maximize)
    none = ordered[last].rate <= convergence.rate
    good = convergence if none else _between(ordered, last)
    end = max(i for i, run in enumerate(ordered) if not run.diverged)
    return RegimeMap(ordered, convergence, good, _between(ordered, end), maximize)


def lowest(runs: Sequence[FixedRate]) -> int:
    """The run of the lowest level, the last of those that are equal."""
    return min(range(len(runs)), key=lambda i: (runs[i].level, -i))


def last_good(runs: Sequence[FixedRate], maximize: bool) -> int:
    """The last run, in a row from regime 1 on, that anneals to no worse than regime 1 does.

    The run of the lowest level is counted among those to be as good as, on whichever side of the
    threshold it lies.
    """
    bottom = lowest(runs)
    limit = _convergence(runs, bottom).rate
    last = max(i for i, run in enumerate(runs) if run.rate <= limit)
    below = [run.annealed for run in runs[: bottom + 1] if math.isfinite(run.annealed)]
    if not below:
        return last
    sign = -1.0 if maximize else 1.0
    reference = min(sign * value for value in below)
    allowed = reference + TOLERANCE * abs(reference)
    while last + 1 < len(runs) and sign * runs[last + 1].annealed <= allowed:
        last += 1
    return last


def untrained(runs: Sequence[FixedRate]) -> str:
    """What to say where no run has learnt anything."""
    if not runs:
        return "no rate trains: there is no run"
    least = runs[lowest(runs)]
    share = least.loss / least.start if least.start else math.nan
    kept = f": at {least.rate:.3g}, the best, {share:.0%} of it" if math.isfinite(share) else ""
    return (
        f"no rate trains: from {runs[0].rate:.3g} to {runs[-1].rate:.3g} every run kept most of "
        f"its training loss (over {STUCK:.0%}), or lost it{kept}"
    )


def _convergence(runs: Sequence[FixedRate], bottom: int) -> Threshold:
    if runs[bottom].solved:
        return _between(runs, bottom)
    first = last = bottom
    while first > 0 and _alike(runs[first - 1], runs[bottom]):
        first -= 1
    while last + 1 < len(runs) and _alike(runs[last + 1], runs[bottom]):
        last += 1
    low = runs[first - 1].rate if first > 0 else 0.0
    high = runs[last + 1].rate if last + 1 < len(runs) else math.inf
    return Threshold(_vertex(runs, bottom), low, high)


def _alike(run: FixedRate, other: FixedRate) -> bool:
    """Whether two levels do not differ by more than the noise of their paired difference."""
    if run.diverged or len(run.losses) < 2 or len(run.losses) != len(other.losses):
        return False
    gaps = [a - b for a, b in zip(run.losses, other.losses, strict=True)]
    return mean(gaps) <= SURE * stdev(gaps) / math.sqrt(len(gaps))


def _between(runs: Sequence[FixedRate], last: int) -> Threshold:
    """Halfway to the next run."""
    low = runs[last].rate
    if last + 1 == len(runs):
        return Threshold(low, low, math.inf)
    high = runs[last + 1].rate
    return Threshold(math.sqrt(low * high), low, high)


def _vertex(runs: Sequence[FixedRate], bottom: int) -> float:
    """The rate at the vertex of the parabola fitted to the levels around a run.

    To their logarithms within an octave, by least squares: the nearest neighbours alone differ by
    less than their noise. The run's own rate where there is no such parabola; the vertex stays
    between its neighbours.
    """
    rate = runs[bottom].rate
    beside = (*runs[max(bottom - 1, 0) : bottom], *runs[bottom + 1 : bottom + 2])
    if len(beside) < 2 or not all(math.isfinite(run.level) for run in beside):
        return rate
    near = [(math.log2(run.rate / rate), run.level) for run in runs]
    near = [(x, math.log(v)) for x, v in near if abs(x) <= NEAR and math.isfinite(v)]
    if len(near) < 3:
        return rate
    bend, slope, _ = map(float, np.polyfit([x for x, _ in near], [y for _, y in near], 2))
    if bend <= 0:
        return rate
    low, high = (BESIDE * math.log2(run.rate / rate) for run in beside)
    return rate * float(2.0 ** min(max(-slope / (2 * bend), low), high))


def _best(runs: Sequence[FixedRate], maximize: bool) -> int:
    sign = -1.0 if maximize else 1.0
    known = [i for i in range(len(runs)) if math.isfinite(runs[i].annealed)]
    return min(known, key=lambda i: sign * runs[i].annealed) if known else lowest(runs)
