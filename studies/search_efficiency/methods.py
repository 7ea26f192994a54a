"""Everything that is compared, by name."""

from collections.abc import Callable
from functools import partial
from typing import Any

import grid
import optuna
import peers
from beneath import Beneath
from ours import Ours
from peers import Peer, Stream
from rounds import VARIANTS, Rounds
from scales import EDGE, RAW_RATE
from simulate import Choice, Method, Trace, replay
from table import Run, Table

CURVATURE = frozenset({"sharpness", "slope", "threshold"})
BENEATH = ("random", "tpe")  # samplers that our pruner is tried beneath
Frozen = dict[str, Any]
Sweep = Callable[..., Trace]  # (table, *, seed, cost, workers)


class Oracle:
    """Knows the truth of every cell: trains the best one once."""

    name, values_lost = "oracle", False

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        label, k = table.best_cell
        self.choice = label, grid.rate(k)
        return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)), 0.0

    def choose(self, trial: optuna.Trial) -> Choice:
        return self.choice

    def looks_at(self, rung: int) -> bool:
        return False

    def look(self, trial: optuna.Trial, run: Run, rung: int) -> tuple[bool, float]:
        raise AssertionError("it does not look")


class Usual(Ours):
    """Ours without calibration: the usual rate of the optimizer taken for the edge."""

    def __init__(self, rate: float, **options: Any) -> None:
        super().__init__(name="ours, usual rate", **options)
        self.rate = rate

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        study, _ = super().begin(table, seed)
        self.edge = self.rate
        return study, 0.0


def asked(make: Callable[[], Method]) -> Sweep:
    """Sweeps of a method that is asked and told, one trial at a time."""

    def sweep(table: Table, **options: Any) -> Trace:
        return replay(table, make(), **options)

    return sweep


def methods(frozen: Frozen, kind: str) -> dict[str, Sweep]:
    """Sweeps of all methods for a task whose optimizer is of this class."""
    if kind not in frozen["multipliers"][EDGE]:
        raise SystemExit(
            f"frozen.json knows no {kind} optimizer: record a development table of one, and run "
            "freeze.py again."
        )
    usual, known = frozen["multipliers"][RAW_RATE][kind], streams(frozen, kind)
    found: dict[str, Callable[[], Method]] = {
        "oracle": Oracle,
        "ours": Ours,
        "ours, no pruner": partial(Ours, "ours, no pruner", pruner=False),
        "ours, no curvature": partial(Ours, "ours, no curvature", hidden=CURVATURE),
        "ours, runs compared": partial(Ours, "ours, runs compared", compared=True),
        "ours, usual rate": partial(Usual, usual),
    }
    for stream, make in known.items():
        for name, parts in peers.SAMPLERS_AND_PRUNERS.items():
            found[f"{name} [{stream}]"] = partial(_peer, name, make, parts)
        for name in BENEATH:
            found[f"{name} + our pruner [{stream}]"] = partial(_beneath, name, make)
        found[f"asha of ray [{stream}]"] = partial(_asha, make)
    return {name: asked(make) for name, make in found.items()} | staged(known)


def streams(frozen: Frozen, kind: str) -> dict[str, Callable[[], Stream]]:
    """Makers of the three streams for an optimizer class."""
    usual, multiplier = (frozen["multipliers"][scale][kind] for scale in (RAW_RATE, EDGE))
    shapes = tuple(frozen["shapes"])
    return {
        "wide": partial(Stream, "wide"),
        "prior": partial(Stream, "prior", usual, shapes),
        "edge": partial(Stream, "edge", multiplier, shapes),
    }


def staged(known: dict[str, Callable[[], Stream]]) -> dict[str, Sweep]:
    """A few rungs for everyone, then the best in full."""
    return {
        f"{name} [{stream}]": Rounds(make, *variant)
        for stream, make in known.items()
        for name, variant in VARIANTS.items()
    }


def _asha(make: Callable[[], Stream]) -> Peer:
    from asha import RayAsha  # Ray takes seconds to import

    return RayAsha("asha of ray", make())


def _beneath(name: str, make: Callable[[], Stream]) -> Peer:
    parts = peers.SAMPLERS_AND_PRUNERS[name]
    return Beneath(f"{name} + our pruner", make(), **parts)


def _peer(name: str, make: Callable[[], Stream], parts: dict[str, Any]) -> Peer:
    return Peer(name, make(), **parts)
