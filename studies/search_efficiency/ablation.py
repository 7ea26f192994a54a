"""What each part of our sampler is worth: sweeps without it, and with an edge that is off.

    python ablation.py [--tables mnist_rmsprop ...] [--variants "ours, not aligned" ...]

The product has no switches for these: its constants and functions are replaced while a sweep is
replayed. Everything else, seeds included, is as in the sweeps of "ours" that `compare.py` keeps.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
import raw
from compare import measured, slug
from methods import CURVATURE
from ours import Ours, price_of, pruned, reading_at
from simulate import Trace, replay
from streams import mixed
from table import Run, Table

from lrsearch import EdgeSampler, StabilityPruner
from lrsearch.search import (
    TrialRecord,
    _cliff,
    _engine,
    _evidence,
    _finished,
    _kinds,
    _locate,
    _space,
    _surrogate,
)
from lrsearch.search._shapes import ShapePoint, shape_point

SWEEPS = 30
MULTIPLIER, SHAPES, ALIGNMENT = "belief over the multiplier", "belief over shapes", "alignment"
CLIFF, DIVERGENCE, UNITS = "belief over the cliff", "cliff", "units of the edge"
UNKNOWN = 10.0  # octaves that the edge is off by, where nothing is believed of it
NEVER = 1e9  # the same where it is only divided by
RAW_EDGE, RAW_MULTIPLIERS = 1e-2, (1e-3, 1e3)  # 1e-5 to 10, as peers search it
RAW_GRID = np.linspace(-13.0, 13.0, 209)  # places of a cliff over those rates
LOOKS = frozenset({"annealed_validation"})


class NoCliff:
    """Any peak holds."""

    def __init__(self, held: Any, lost: Any) -> None:
        pass

    def holds(self, peaks: np.ndarray) -> np.ndarray:
        return np.ones(len(peaks))


@dataclass
class Off(Ours):
    """Ours, with the edge off by a factor."""

    factor: float = 1.0

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        study, spent = super().begin(table, seed)
        self.edge *= self.factor
        return study, spent


class RawRates(Ours):
    """Ours over 1e-5 to 10, without calibration."""

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        super().begin(table, seed)
        self.edge = RAW_EDGE
        self.space = replace(self.space, multiplier=RAW_MULTIPLIERS)
        sampler = EdgeSampler(self.space, seed=seed)
        study = optuna.create_study(study_name=self.name, sampler=sampler, pruner=StabilityPruner())
        return study, 0.0


@dataclass
class Shuffled(Ours):
    """The negative control: some fields of a trial's readings are those of an earlier trial's run.

    It is drawn once for each trial, of all before it that were looked at; the first keeps its own.
    """

    fields: frozenset[str] = frozenset()

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        self._runs: dict[int, Run] = {}
        self._others: dict[int, Run] = {}
        self._rng = np.random.default_rng([23, seed])
        return super().begin(table, seed)

    def look(self, trial: optuna.Trial, run: Run, rung: int) -> tuple[bool, float]:
        reading = reading_at(run, rung, self.table.budget, self.hidden, compared=self.compared)
        if trial.number not in self._others:
            before = list(self._runs.values())
            self._others[trial.number] = before[self._rng.integers(len(before))] if before else run
            self._runs[trial.number] = run
        other = self._others[trial.number]
        seen = mixed(reading, self.table, other, self.fields, self.hidden)
        return pruned(trial, seen), price_of(self.table, reading)


@dataclass(frozen=True)
class Variant:
    """A method, and what the engine lacks meanwhile."""

    make: Callable[[], Ours] = Ours
    lacks: frozenset[str] = frozenset()

    def __call__(self, table: Table, *, seed: int, **options: Any) -> Trace:
        with without(self.lacks, seed):
            return replay(table, self.make(), seed=seed, **options)


@contextmanager
def without(lacks: frozenset[str], seed: int = 0) -> Iterator[None]:
    """The engine without some of its parts.

    Args:
        lacks: Parts.
        seed: Of the first guess, where nothing tells one point from another.
    """
    changes: list[tuple[Any, str, Any]] = []
    if lacks & {MULTIPLIER, SHAPES}:
        changes.append((_engine, "_guess", _guess_anew(np.random.default_rng([19, seed]))))
    if MULTIPLIER in lacks:
        changes += [(_engine, "SPREAD", NEVER), (_surrogate, "SPREAD", UNKNOWN)]
    if lacks & {SHAPES, ALIGNMENT}:
        point = partial(_known_less, lacks)
        changes += [(_locate, "shape_point", point), (_finished, "shape_point", point)]
    if ALIGNMENT in lacks:
        changes.append((_space, "alignment", lambda family, parameters: 1.0))
    if CLIFF in lacks:
        changes.append((_cliff, "SPREAD", NEVER))
    if UNITS in lacks:
        changes.append((_cliff, "GRID", RAW_GRID))
    if DIVERGENCE in lacks:
        changes += [(_evidence, "Cliff", NoCliff), (_kinds, "_kind_of", _bad_where_hot())]
    with ExitStack() as stack:
        for module, name, value in changes:
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def _guess_anew(rng: np.random.Generator) -> Callable[..., np.ndarray]:
    """The first guess, with ties broken at random instead of by order."""
    guess = _engine._guess
    return lambda known, at: guess(known, at) + 1e-6 * rng.random(len(at.points))


def _known_less(lacks: frozenset[str], *shape: Any) -> ShapePoint:
    found = shape_point(*shape)
    belief = 0.0 if SHAPES in lacks else found.belief
    return replace(found, belief=belief, octaves=0.0 if ALIGNMENT in lacks else found.octaves)


def _bad_where_hot() -> Callable[[TrialRecord], str | None]:
    """Diverged runs count as bad ones, as others do that were stopped."""
    kind_of = _kinds._kind_of

    def found(record: TrialRecord) -> str | None:
        kind = kind_of(record)
        return "stopped" if kind == "hot" else kind

    return found


VARIANTS: dict[str, Variant] = {
    "ours, flat over multipliers": Variant(lacks=frozenset({MULTIPLIER})),
    "ours, flat over shapes": Variant(lacks=frozenset({SHAPES})),
    "ours, not aligned": Variant(lacks=frozenset({ALIGNMENT})),
    "ours, flat over the cliff": Variant(lacks=frozenset({CLIFF})),
    "ours, edge x 4": Variant(partial(Off, "ours, edge x 4", factor=4.0)),
    "ours, edge / 4": Variant(partial(Off, "ours, edge / 4", factor=0.25)),
    "ours, nothing believed": Variant(lacks=frozenset({MULTIPLIER, SHAPES, ALIGNMENT, CLIFF})),
    "ours, raw rates": Variant(RawRates, frozenset({UNITS, MULTIPLIER, CLIFF})),
    "ours, no curvature": Variant(partial(Ours, "ours, no curvature", hidden=CURVATURE)),
    "ours, curvature shuffled": Variant(
        partial(Shuffled, "ours, curvature shuffled", fields=CURVATURE)
    ),
    "ours, runs compared, looks shuffled": Variant(
        partial(Shuffled, "ours, looks shuffled", compared=True, fields=LOOKS)
    ),
    "ours, no pruner": Variant(partial(Ours, "ours, no pruner", pruner=False)),
    "ours, diverged counts as bad": Variant(lacks=frozenset({DIVERGENCE})),
}


def path_of(table: str, variant: str) -> Path:
    """Apart from the methods that `report.py` compares: these have fewer sweeps."""
    return raw.path_of(table, f"ablation/{slug(variant, 1)}")


def main() -> None:
    assert __doc__ is not None
    parser = raw.arguments(__doc__)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), help="all by default")
    parser.add_argument("--sweeps", type=int, default=SWEEPS)
    options = parser.parse_args()
    found = raw.recorded(options.tables)
    for name in options.variants:
        for table in found.values():
            if not path_of(table.name, name).exists():
                document = measured(table, name, VARIANTS[name], options.sweeps)
                raw.save(path_of(table.name, name), document)
                print(f"{table.name}: {name}", flush=True)


if __name__ == "__main__":
    main()
