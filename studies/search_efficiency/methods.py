"""Everything that is compared, by name."""

from collections.abc import Callable
from functools import partial
from typing import Any

import optuna
import peers
from ours import Ours
from peers import Peer, Stream
from replay import Choice, Method
from table import Run, Table

CURVATURE = frozenset({"sharpness", "slope", "threshold"})
# Without these no rule but the one on the loss can speak.
ALL_BUT_LOSS = CURVATURE | {"gradient_norm", "update_norm", "weight_norm", "decrease_ratio"}
Frozen = dict[str, Any]


class Oracle:
    """Knows the truth of every cell: trains the best one once."""

    name, values_lost = "oracle", False

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        label, k = min(table.truth, key=lambda cell: (table.truth[cell], cell))
        self.choice = label, 2.0 ** (k / 4)
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


def methods(frozen: Frozen, kind: str) -> dict[str, Callable[[], Method]]:
    """Makers of all methods for a task whose optimizer is of this class."""
    if kind not in frozen["usual_rate"]:
        raise SystemExit(
            f"frozen.json knows no {kind} optimizer: record a development table of one, and run "
            "freeze.py again."
        )
    usual, multiplier = frozen["usual_rate"][kind], frozen["multiplier"][kind]
    shapes = tuple(frozen["shapes"])
    streams = {
        "wide": partial(Stream, "wide"),
        "prior": partial(Stream, "prior", usual, shapes),
        "edge": partial(Stream, "edge", multiplier, shapes),
    }
    found: dict[str, Callable[[], Method]] = {
        "oracle": Oracle,
        "ours": Ours,
        "ours, no pruner": partial(Ours, "ours, no pruner", pruner=False),
        "ours, no curvature": partial(Ours, "ours, no curvature", hidden=CURVATURE),
        "ours, divergence only": partial(Ours, "ours, divergence only", hidden=ALL_BUT_LOSS),
        "ours, usual rate": partial(Usual, usual),
    }
    for stream, make in streams.items():
        for name, parts in peers.SAMPLERS_AND_PRUNERS.items():
            found[f"{name} [{stream}]"] = partial(_peer, name, make, parts)
        found[f"asha of ray [{stream}]"] = partial(_asha, make)
    return found


def _asha(make: Callable[[], Stream]) -> Peer:
    from asha import RayAsha  # Ray takes seconds to import

    return RayAsha("asha of ray", make())


def _peer(name: str, make: Callable[[], Stream], parts: dict[str, Any]) -> Peer:
    return Peer(name, make(), **parts)
