"""Fit both laws to the published loss curves, predict the others, optimise schedules.

    python studies/loss_curves/run.py           # resumes; one file a model size in raw/
    python studies/loss_curves/report.py        # results.md from raw/
    python studies/loss_curves/figure.py        # figure.png from raw/ and the curves

One thread, about a minute.
"""

import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy

import lrsearch
from lrsearch.theory import (
    AnnealingLaw,
    Curve,
    LossLaw,
    MultiPowerLaw,
    fit_annealing_law,
    fit_multi_power_law,
    optimal_levels,
    r_squared,
)
from lrsearch.theory._blocks import blocks_of
from lrsearch.theory._fit import BLOCK
from lrsearch.theory._solve import best_of

sys.path.insert(0, str(Path(__file__).parent))
import adam
from published import LAWS, PAST, PEAK, SIZES, STEPS, TEST, TRAIN, WARMUP, curve, schedule

RAW = Path(__file__).parent / "raw"
HELD = {"beta": 0.6, "gamma": 0.6}
KNOTS = (33, 65, 129, 257, 513)


def power_only(curves: list[Curve]) -> MultiPowerLaw:
    """The negative control: the best law without its annealing term (B = 0)."""
    losses = np.concatenate([c.losses for c in curves])
    sums = np.concatenate([np.cumsum(c.learning_rates)[c.steps - 1] for c in curves])

    def model(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        L0, A, alpha = np.exp(logs)
        power = A * sums**-alpha
        columns = [np.full_like(power, L0), power, -alpha * np.log(sums) * power]
        return L0 + power, np.stack(columns, axis=1)

    starts = [(0.0, np.log([losses.min(), 0.5, alpha])) for alpha in (0.3, 0.5, 0.8)]
    best = best_of(model, losses, starts, ("L0", "A", "alpha"), {}, {}, 3)
    L0, A, alpha = np.exp(best.logs)
    return MultiPowerLaw(L0, A, alpha, 0.0, 1.0, 1.0, 1.0)


def errors(law: LossLaw, known: Curve) -> dict[str, float]:
    """What the authors report of one curve."""
    predicted = law.predict(known.learning_rates, known.steps)
    off = np.abs(known.losses - predicted)
    return {
        "r2": r_squared(known.losses, predicted),
        "mae": float(off.mean()),
        "rmse": float(np.sqrt((off**2).mean())),
        "mean_relative": float((off / known.losses).mean()),
        "worst_relative": float((off / known.losses).max()),
    }


def fits(curves: dict[str, Curve], size: str) -> dict[str, dict]:
    """Every law, its coefficients and its errors on every curve."""
    train = [curves[name] for name in TRAIN]
    more = [*train, curves["wsdcon_3"], curves["wsdcon_18"]]
    adam_law, adam_start, adam_steps = adam.fit(train)
    made: dict[str, Callable[[], tuple[LossLaw, str]]] = {
        "published": lambda: (LAWS[size], "published coefficients"),
        "multi-power": lambda: _said(fit_multi_power_law(train)),
        "multi-power, beta and gamma held": lambda: _said(fit_multi_power_law(train, fixed=HELD)),
        "multi-power, authors' procedure": lambda: (adam_law, f"{adam_steps} steps"),
        "multi-power, five curves": lambda: _said(fit_multi_power_law(more)),
        "annealing": lambda: _said(fit_annealing_law(train)),
        "annealing, decay 0.998": lambda: _said(fit_annealing_law(train, decay=0.998)),
        "annealing, decay 0.99": lambda: _said(fit_annealing_law(train, decay=0.99)),
        "annealing, no rise": lambda: _said(fit_annealing_law([flat(c) for c in train])),
        "power only (control)": lambda: (power_only(train), ""),
    }
    found = {}
    for name, make in made.items():
        begun = time.perf_counter()
        law, reason = make()
        found[name] = {
            "law": law.to_dict(),
            "reason": reason,
            "seconds": time.perf_counter() - begun,
            "curves": {
                n: errors(law, flat(c) if name.endswith("no rise") else c)
                for n, c in curves.items()
            },
        }
    found["multi-power, authors' procedure"]["start"] = adam_start.tolist()
    return found


def flat(known: Curve) -> Curve:
    """The curve with its warm-up taken for updates at the peak: a warm-up that does not rise."""
    rates = np.concatenate([np.full(WARMUP, PEAK), known.learning_rates[WARMUP:]])
    return Curve(rates, known.steps, known.losses)


def _said(fit) -> tuple[LossLaw, str]:
    return fit.law, ("" if fit.converged else "not converged: ") + fit.reason


def spread(levels: np.ndarray, steps: int) -> np.ndarray:
    """Learning rates of a schedule that starts at the end of the warm-up."""
    return PEAK * np.interp(np.arange(steps), np.linspace(0, steps, len(levels)), levels)


def shape(rates: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Where a schedule begins to decay, where it ends, and how far it is from another."""
    gap = np.abs(rates - reference) / PEAK
    return {
        "decay_from": int(WARMUP + np.argmax(rates < 0.99 * PEAK)),
        "half_at": int(WARMUP + np.argmax(rates < 0.5 * PEAK)),
        "last": float(rates[-1] / PEAK),
        "max_gap": float(gap.max()),
        "mean_gap": float(gap.mean()),
    }


def optima(laws: dict[str, LossLaw], published: np.ndarray) -> dict[str, dict]:
    """Schedules from the end of the warm-up, as the authors optimise them."""
    steps = STEPS - WARMUP
    x = np.arange(steps) / steps
    usual = {
        "constant": np.full(steps, PEAK),
        "cosine to 0": PEAK * (1 + np.cos(np.pi * x)) / 2,
        "linear to 0": PEAK * (1 - x),
        "wsd 20 % linear to 0": PEAK * np.minimum(1.0, (1 - x) / 0.2),
        "published": published,
    }
    found = {}
    for name, law in laws.items():
        begun = time.perf_counter()
        levels = optimal_levels(law, steps, PEAK, **PAST)
        seconds = time.perf_counter() - begun
        best = spread(levels, steps)
        found[name] = {
            "seconds": seconds,
            "levels": levels.tolist(),
            "loss": law.final_loss(best, **PAST),
            "usual": {n: law.final_loss(rates, **PAST) for n, rates in usual.items()},
            "shape": shape(best, published),
            "published_shape": shape(published, published),
        }
    return found


def cross(laws: dict[str, LossLaw], found: dict[str, dict]) -> dict[str, dict[str, float]]:
    """What every law gives up with the schedule that another law finds best."""
    steps = STEPS - WARMUP
    best = {name: spread(np.array(entry["levels"]), steps) for name, entry in found.items()}
    return {
        by: {of: law.final_loss(rates, **PAST) - found[by]["loss"] for of, rates in best.items()}
        for by, law in laws.items()
    }


def knots(law: LossLaw) -> dict[str, float]:
    """Final loss by the number of levels."""
    steps = STEPS - WARMUP
    found = {}
    for count in KNOTS:
        levels = optimal_levels(law, steps, PEAK, knots=count, **PAST)
        found[str(count)] = law.final_loss(spread(levels, steps), **PAST)
    return found


def block_error(law: MultiPowerLaw, curves: dict[str, Curve]) -> dict[str, float]:
    """Largest relative difference between summed decrements and the exact law, by block."""
    found = {}
    for block in (16, BLOCK, 256):
        worst = 0.0
        for name in TRAIN:
            known = curves[name]
            part = blocks_of(known, known.steps, 1.0, 1.0, block)
            sums, _ = part.annealed(law.C, law.beta, law.gamma)
            summed = law.L0 + law.A * np.exp(-law.alpha * part.log_sum) - law.B * sums
            exact = law.predict(known.learning_rates, known.steps)
            worst = max(worst, float(np.abs(summed / exact - 1).max()))
        found[str(block)] = worst
    return found


def record(size: str) -> None:
    """Everything about one model size, written in one stroke."""
    path = RAW / f"{size}.json"
    if path.exists():
        return
    curves = {name: curve(size, name) for name in (*TRAIN, *TEST)}
    fitted = fits(curves, size)
    laws = {
        name: (AnnealingLaw if name == "annealing" else MultiPowerLaw).from_dict(entry["law"])
        for name, entry in fitted.items()
        if not any(word in name for word in ("control", "five", "annealing,"))
    }
    found = optima(laws, schedule(size))
    document = {
        "size": size,
        "fits": fitted,
        "optima": found,
        "cross": cross(laws, found),
        "knots": knots(laws["published"]),
        "block_error": block_error(LAWS[size], curves),
        "environment": {
            "lrsearch": lrsearch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
    }
    RAW.mkdir(exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(document, indent=1) + "\n")
    scratch.replace(path)


if __name__ == "__main__":
    for size in sys.argv[1:] or SIZES:
        record(size)
        print(f"{size}: done", flush=True)
