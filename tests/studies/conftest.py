"""Modules of a study, as its own scripts import them, and gone again afterwards."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

BUDGET, EVALUATION, READING = 100, 4.0, 2.0
BEST = {"linear": -12, "wsd": -15, "constant": -18}
CLIFF = -4
STUDIES = Path(__file__).parents[2] / "studies"
STUDY = STUDIES / "search_efficiency"
Load = Callable[[str], ModuleType]


@contextmanager
def modules_of(folder: Path) -> Iterator[Load]:
    """Import from a study's folder; afterwards the path and the modules are as they were."""
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and STUDIES in Path(origin).parents:
                del sys.modules[name]


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    """Load a module of `studies/search_efficiency` by name."""
    with modules_of(STUDY) as found:
        yield found


@pytest.fixture(scope="module")
def calibration() -> Iterator[Load]:
    """Load a module of `studies/edge_calibration` by name."""
    with modules_of(STUDIES / "edge_calibration") as found:
        yield found


@pytest.fixture(scope="module")
def tuners() -> Iterator[Load]:
    """Load a module of `studies/lr_tuners` by name."""
    with modules_of(STUDIES / "lr_tuners") as found:
        yield found


@pytest.fixture(scope="module")
def large_rates() -> Iterator[Load]:
    """Load a module of `studies/large_lr_regimes` by name."""
    with modules_of(STUDIES / "large_lr_regimes") as found:
        yield found


@pytest.fixture(scope="module")
def practical(large_rates) -> ModuleType:
    """Its `practical.py`, which reads the tables of search_efficiency."""
    return large_rates("practical")


@pytest.fixture(scope="module")
def solutions() -> Iterator[Load]:
    """Load a module of `studies/gradient_flow_solution` by name."""
    with modules_of(STUDIES / "gradient_flow_solution") as found:
        yield found


@pytest.fixture(scope="module")
def budgeted() -> Iterator[Load]:
    """Load a module of `studies/budgeted_schedules` by name."""
    with modules_of(STUDIES / "budgeted_schedules") as found:
        yield found


@pytest.fixture(scope="module")
def study(load) -> Any:
    names = ("table", "simulate", "peers", "ours", "rungs", "measures", "streams", "rounds")
    return SimpleNamespace(**{name: load(name) for name in names})


@pytest.fixture(scope="module")
def table(study) -> Any:
    """Parabolas in log loss, 0.1 per octave squared; runs from the cliff on diverge at step 7."""
    columns: dict[str, list[Any]] = {}
    rng = np.random.default_rng(0)
    for shape, best in BEST.items():
        for k in range(-28, 1):
            for seed in range(8 if abs(k - best) < 4 else 3):
                log = 0.1 * ((k - best) / 4) ** 2 + 0.01 * rng.standard_normal() - 0.5
                lost = k >= CLIFF
                for rung in range(1, 21):
                    row = {"shape": shape, "k": k, "seed": seed, "rung": rung}
                    row |= dict.fromkeys(study.rungs.COLUMNS, math.nan)
                    row |= dict.fromkeys(study.rungs.FINAL, math.nan)
                    row |= {"initial_loss": 2.0, "initial_spread": 0.1}
                    row["diverged_at"] = 7.0 if lost else 0.0
                    if not lost or 5 * rung < 7:
                        loss = 2.0 + (math.exp(log) - 2.0) * rung / 20
                        row |= {"step": 5 * rung, "learning_rate": 0.1, "train_loss": loss}
                        row |= {"loss": loss, "averaged_loss": loss, "gradient_norm": 1.0}
                        if rung in study.rungs.COOLED:
                            row["cooled_loss"] = loss
                    if not lost:
                        row |= {"final_loss": math.exp(log), "final_test": math.exp(log + 0.1)}
                    for name, value in row.items():
                        columns.setdefault(name, []).append(value)
    about = {
        "task": "parabola",
        "budget": BUDGET,
        "columns": list(study.rungs.COLUMNS),
        "final": list(study.rungs.FINAL),
        "prices": {"train": 1.0, "evaluate": EVALUATION, "forward": READING},
        "edges": [{"seed": s, "learning_rate": 2**-3.2, "cost": 50.0} for s in range(3)],
    }
    return study.table.Table({n: np.array(v) for n, v in columns.items()}, about)
