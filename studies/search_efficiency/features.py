"""What tells a run's end beside its averaged weights: linear forecasts, with and without curvature.

    python features.py             # raw/features.json

Log final validation loss of contenders (within 1.5 times the best), forecast at a rung by a linear
model of dimensionless readings. Coefficients are those of the development tables (on one of these,
those of the other four); every table has a level of its own, as a study's finished runs tell it.
What is kept is the deviation of what is left, by table. The negative control gives the model the
curvature of another run of the table.
"""

import math
from typing import Any

import families
import grid
import numpy as np
import raw
import tasks
from forecasts import contenders
from table import Run, Table

RUNGS = (2, 4, 8)
RIDGE = 0.03
PATH = raw.RAW / "features.json"
AVERAGED, COOLED, CURRENT = "averaged weights", "mini-cooldown", "validation loss"
FAMILY = ("rate now", "rate to come")
TREND = ("current over averaged", "power law")
GRADIENT = ("gradient norm", "update over weights", "moved over weights", "decrease ratio")
# Name -> what the model sees. A name with "as it is" has no coefficients.
MODELS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "validation loss, as it is": (CURRENT,),
    "averaged weights, as they are": (AVERAGED,),
    "averaged weights, power law, as it is": ("power law",),
    "validation loss": (CURRENT,),
    "mini-cooldown": (COOLED,),
    "averaged weights": (AVERAGED,),
    "averaged weights, schedule": (AVERAGED, *FAMILY),
    "averaged weights, schedule, trend": (AVERAGED, *FAMILY, *TREND),
    "averaged weights, gradient and update": (AVERAGED, *GRADIENT),
    "averaged weights, curvature": (AVERAGED, "rho"),
    "averaged weights, curvature of other runs": (AVERAGED, "rho of another"),
    "all": (AVERAGED, *FAMILY, *TREND, *GRADIENT, "rho"),
    "all but curvature": (AVERAGED, *FAMILY, *TREND, *GRADIENT),
}
Columns = dict[str, np.ndarray]


def columns(table: Table, rung: int) -> tuple[Columns, np.ndarray]:
    """Readings of a table's contenders at a rung, by name, and the logs of their ends."""
    cells = {id(run): cell for cell, runs in table.runs.items() for run in runs.values()}
    rows, ends = [], []
    for run in contenders(table):
        row = _row(table, run, cells[id(run)], rung)
        if math.isfinite(row[AVERAGED]) and run.final > 0:
            rows.append(row)
            ends.append(math.log(run.final))
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    shift = len(rows) // 2  # moved round: no run keeps its own
    found["rho of another"] = np.roll(found["rho"], shift)
    return found, np.array(ends)


def _row(table: Table, run: Run, cell: tuple[str, int], rung: int) -> dict[str, float]:
    peak = grid.rate(cell[1])
    rates = np.array(families.SHAPES[cell[0]].schedule(peak, table.budget).values()) / peak
    done = table.marks[rung - 1]

    def log(name: str, at: int = rung) -> float:
        value = float(run.rungs[name][at - 1])
        return math.log(value) if value > 0 and math.isfinite(value) else math.nan

    averaged = log("averaged_loss")
    slope = (averaged - log("averaged_loss", rung // 2)) / math.log(2)
    rho = log("learning_rate") + log("forward_sharpness") - log("threshold")
    return {
        CURRENT: log("loss"),
        AVERAGED: averaged,
        COOLED: log("cooled_loss"),
        "rate now": float(rates[done - 1]),
        "rate to come": float(rates[done:].mean()),
        "current over averaged": log("loss") - averaged,
        "power law": averaged + slope * math.log(len(table.marks) / rung),
        "gradient norm": log("gradient_norm"),
        "update over weights": log("update_norm") - log("weight_norm"),
        "moved over weights": log("displacement") - log("weight_norm"),
        "decrease ratio": float(np.clip(run.rungs["decrease_ratio"][rung - 1], -2, 2)),
        "rho": min(max(rho, -4.0), 2.0) if math.isfinite(rho) else math.nan,
    }


def _matrix(found: Columns, names: tuple[str, ...]) -> np.ndarray:
    """Columns about their means; what is missing is at the mean."""
    parts = [np.nan_to_num(found[name] - np.nanmean(found[name])) for name in names]
    return np.stack(parts, axis=1) if parts else np.zeros((len(found[AVERAGED]), 0))


def coefficients(tables: list[tuple[Columns, np.ndarray]], names: tuple[str, ...]) -> np.ndarray:
    """Ridge regression, every table weighing the same."""
    if not names:
        return np.zeros(0)
    seen, ends = [], []
    for found, end in tables:
        weight = 1 / math.sqrt(len(end))
        seen.append(weight * _matrix(found, names))
        ends.append(weight * (end - end.mean()))
    x, y = np.concatenate(seen), np.concatenate(ends)
    scale = np.sqrt((x**2).sum(axis=0) / len(tables)) + 1e-9
    x = x / scale
    return np.asarray(np.linalg.solve(x.T @ x + RIDGE * np.eye(len(scale)), x.T @ y) / scale)


def measured() -> dict[str, Any]:
    """Deviations left, by split, rung, model and table."""
    splits = {"development": tasks.DEVELOPMENT, "evaluation": tasks.EVALUATION}
    known = {split: raw.recorded(functions) for split, functions in splits.items()}
    found: dict[str, Any] = {}
    for rung in RUNGS:
        fits = {t.name: columns(t, rung) for t in known["development"].values()}
        for split, tables in known.items():
            for model, names in MODELS.items():
                left = {}
                for table in tables.values():
                    own = fits.get(table.name) or columns(table, rung)
                    others = [pair for name, pair in fits.items() if name != table.name]
                    plain = "as" in model.split()
                    fit = np.ones(1) if plain else coefficients(others, names)
                    rest = own[1] - own[1].mean() - _matrix(own[0], names) @ fit
                    left[table.name] = round(float(rest.std()), 4)
                found.setdefault(split, {}).setdefault(str(rung), {})[model] = left
    return found


def main() -> None:
    raw.save(PATH, measured())


if __name__ == "__main__":
    main()
