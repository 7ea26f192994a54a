"""Fitting the laws to recorded loss curves: Huber loss of the log residuals, several starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Generic, TypeVar

import numpy as np
from scipy.optimize import nnls

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.theory._annealing_law import DECAY, AnnealingLaw, annealing_sums
from lrsearch.theory._blocks import blocks_of
from lrsearch.theory._curve import Curve, FloatArray
from lrsearch.theory._law import LossLaw
from lrsearch.theory._multi_power_law import MultiPowerLaw
from lrsearch.theory._solve import Solution, best_of

# Below this share of the peak a run has not annealed: the gain is lost in the noise of the loss.
LEAST_FALL = 0.05
# Updates whose decrements are summed while fitting. On the published curves the summed law differs
# from the exact one by less than 2e-5 of the loss, the noise is 1e-3 (studies/loss_curves).
BLOCK = 64
# Starts that are followed to their end, out of the grids below.
STARTS = 6

# Grids of the shape coefficients; alpha, and C in units of the peak learning rate. The published
# fits lie within: alpha 0.4 to 0.5, C 0.1, beta 0.6, gamma 0.65.
ALPHAS = (0.25, 0.5, 1.0)
SPEEDS = (0.01, 0.1, 1.0)
BETAS = (0.3, 0.6, 1.2)
GAMMAS = (0.2, 0.6, 1.0)
# How far a fit may go, in the same units.
LIMITS = {"alpha": (1e-3, 5.0), "C": (1e-6, 1e4), "beta": (1e-2, 1e2), "gamma": (1e-3, 3.0)}

L = TypeVar("L", bound=LossLaw)


@dataclass(frozen=True)
class LawFit(Generic[L]):
    """A fitted law, and how well it fits.

    Attributes:
        law: The law.
        r2: Coefficient of determination of every curve under the exact law, in order:
            1 - sum of squared residuals / sum of squared deviations from the curve's own mean.
        residual: Root mean square of log(loss) - log(prediction) over all losses, exact law.
        converged: Whether the optimiser came to its end from the best start.
        reason: Why it ended, and which coefficients these curves do not determine. It takes the
            residuals for independent, which those of one run are not, and so names too few.
        dropped: Losses that were left out: not finite, or recorded before anything moved.
    """

    law: L
    r2: tuple[float, ...]
    residual: float
    converged: bool
    reason: str
    dropped: int = 0

    @property
    def mean_r2(self) -> float:
        """Mean of `r2` over the curves, each with the same weight."""
        return float(np.mean(self.r2))


def fit_annealing_law(curves: Sequence[Curve], *, decay: float = DECAY) -> LawFit[AnnealingLaw]:
    """Fit the annealing law: least Huber loss (1e-3) of the log residuals over all losses.

    One curve is enough if it anneals; two schedules determine the coefficients better. The same
    curves give the same law. Cost: O(total updates), then milliseconds.

    Args:
        curves: Recorded curves with the same model, data and optimizer.
        decay: Memory of the annealing, kept fixed.

    Raises:
        InvalidScheduleError: If there is no curve, none anneals, too few losses are finite, or
            there are fewer than two losses a coefficient.
    """
    if not (isinstance(decay, int | float) and 0.0 <= decay < 1.0):
        raise InvalidScheduleError(f"decay must be >= 0 and < 1 (paper: 0.999), got {decay!r}")
    known, dropped = _usable(curves, least=1, coefficients=4)
    peak = max(curve.peak for curve in known)
    sums = [
        annealing_sums(c.learning_rates, c.steps, decay, c.learning_rates[0], 0.0) for c in known
    ]
    s1 = np.concatenate([pair[0] for pair in sums])
    area = np.concatenate([pair[1] for pair in sums]) * (1.0 - decay) / peak
    reference = float(s1.max())
    log_sum = np.log(s1 / reference)
    losses = np.concatenate([curve.losses for curve in known])

    def model(logs: FloatArray) -> tuple[FloatArray, FloatArray]:
        L0, A, alpha, C = np.exp(logs)
        power = A * np.exp(-alpha * log_sum)
        columns = [np.full_like(power, L0), power, -alpha * log_sum * power, -C * area]
        return L0 + power - C * area, np.stack(columns, axis=1)

    starts = []
    for alpha in ALPHAS:
        (L0, A, C), misfit = _linear(losses, np.exp(-alpha * log_sum), area)
        starts.append((misfit, np.log([L0, A, alpha, C])))
    best = best_of(
        model, losses, starts, ("L0", "A", "alpha", "C"), {"alpha": (1e-3, 5.0)}, {}, STARTS
    )
    L0, A, alpha, C = np.exp(best.logs)
    law = AnnealingLaw(L0, A * reference**alpha, alpha, C * (1.0 - decay) / peak, decay)
    return _report(law, known, best, dropped)


def fit_multi_power_law(
    curves: Sequence[Curve],
    *,
    fixed: Mapping[str, float] | None = None,
    block: int = BLOCK,
) -> LawFit[MultiPowerLaw]:
    """Fit the multi-power law: least Huber loss (1e-3) of the log residuals over all losses.

    The authors fit a cosine, a constant and a two-stage run; the constant one anchors the power
    term, the drop of the two-stage run the speed of the annealing. Three such curves tell C, beta
    and gamma apart only weakly: hold beta and gamma (the published fits have 0.6 and 0.64), or give
    runs with drops to several rates. The same curves give the same law.

    Cost: some hundred evaluations of (losses x blocks) each, about a second for three curves.

    Args:
        curves: Recorded curves with the same model, data and optimizer; at least two.
        fixed: Values of `alpha`, `beta` or `gamma` to hold; above 0.
        block: Updates whose decrements are summed while fitting; quality is reported exactly.

    Raises:
        InvalidScheduleError: If there are fewer than two curves, none anneals, too few losses are
            finite, there are fewer than two losses a coefficient, the block is below 1, or a
            coefficient cannot be held.
    """
    held = dict(fixed or {})
    for name, value in held.items():
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if name not in LIMITS or name == "C" or not real:
            raise InvalidScheduleError(
                f"fixed may hold alpha, beta and gamma at numbers, got {name} = {value!r}"
            )
        low, high = LIMITS[name]
        if not low <= value <= high:
            raise InvalidScheduleError(
                f"fixed must hold {name} between {low:g} and {high:g}, got {value!r}"
            )
    if isinstance(block, bool) or not isinstance(block, int) or block < 1:
        raise InvalidScheduleError(f"block must be a whole number >= 1 of updates, got {block!r}")
    known, dropped = _usable(curves, least=2, coefficients=7)
    peak = max(curve.peak for curve in known)
    reference = max(float(c.learning_rates[: c.steps[-1]].sum()) for c in known)
    parts = [blocks_of(curve, curve.steps, peak, reference, block) for curve in known]
    log_sum = np.concatenate([part.log_sum for part in parts])
    losses = np.concatenate([curve.losses for curve in known])

    def annealing(C: float, beta: float, gamma: float) -> tuple[FloatArray, FloatArray]:
        pairs = [part.annealed(C, beta, gamma) for part in parts]
        return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])

    def model(logs: FloatArray) -> tuple[FloatArray, FloatArray]:
        L0, A, alpha, B, C, beta, gamma = np.exp(logs)
        power = A * np.exp(-alpha * log_sum)
        sums, slopes = annealing(C, beta, gamma)
        columns = [np.full_like(power, L0), power, -alpha * log_sum * power, -B * sums]
        return L0 + power - B * sums, np.column_stack([*columns, -B * slopes])

    starts = []
    grids = {"alpha": ALPHAS, "beta": BETAS, "gamma": GAMMAS} | {n: (v,) for n, v in held.items()}
    for C, beta, gamma in product(SPEEDS, grids["beta"], grids["gamma"]):
        sums, _ = annealing(C, beta, gamma)
        for alpha in grids["alpha"]:
            (L0, A, B), misfit = _linear(losses, np.exp(-alpha * log_sum), sums)
            starts.append((misfit, np.log([L0, A, alpha, B, C, beta, gamma])))
    names = ("L0", "A", "alpha", "B", "C", "beta", "gamma")
    best = best_of(model, losses, starts, names, LIMITS, held, STARTS)
    L0, A, alpha, B, C, beta, gamma = np.exp(best.logs)
    law = MultiPowerLaw(
        L0, A * reference**alpha, alpha, B / peak, C * peak ** (gamma - 1.0), beta, gamma
    )
    return _report(law, known, best, dropped)


def _usable(curves: Sequence[Curve], least: int, coefficients: int) -> tuple[list[Curve], int]:
    """Return the curves without losses that failed, and how many those were."""
    if isinstance(curves, Curve):
        raise InvalidScheduleError("curves must be a list of Curve, got one; put it into a list")
    if wrong := [curve for curve in curves if not isinstance(curve, Curve)]:
        raise InvalidScheduleError(f"curves must be a list of Curve, got {wrong[0]!r} in it")
    if len(curves) < least:
        raise InvalidScheduleError(
            f"the law needs at least {least} curve{'s' * (least > 1)}, got {len(curves)}; record "
            "runs with different schedules, one of them annealed"
        )
    known = []
    for number, curve in enumerate(curves):
        fine = np.isfinite(curve.losses) & (np.cumsum(curve.learning_rates)[curve.steps - 1] > 0.0)
        if 2 * np.count_nonzero(fine) < len(fine):
            raise InvalidScheduleError(
                f"curve {number} has {np.count_nonzero(fine)} usable losses of {len(fine)}: a run "
                "that diverged follows no law, leave it out"
            )
        known.append(Curve(curve.learning_rates, curve.steps[fine], curve.losses[fine]))
    total = sum(len(curve.steps) for curve in known)
    if total < 2 * coefficients:
        raise InvalidScheduleError(
            f"{coefficients} coefficients need at least {2 * coefficients} losses, got {total}; "
            "record the loss more often"
        )
    falls = [-np.diff(curve.learning_rates[: curve.steps[-1]]) / curve.peak for curve in known]
    most = max(float(np.maximum(fall, 0.0).sum()) for fall in falls)
    if most < LEAST_FALL:
        raise InvalidScheduleError(
            f"no curve anneals before its last loss (the learning rate falls by {most:.1%} of the "
            "peak at most), so the gain of annealing cannot be known; add a run with a decay"
        )
    return known, sum(len(curve.steps) for curve in curves) - total


def _linear(losses: FloatArray, power: FloatArray, sums: FloatArray) -> tuple[FloatArray, float]:
    """Return L0, A and the gain, all above 0, that fit best at a given shape; and the misfit."""
    matrix = np.stack([np.ones_like(power), power, -sums], axis=1) / losses[:, None]
    found, misfit = nnls(matrix, np.ones_like(losses))
    return np.maximum(found, 1e-3 * float(losses.min())), float(misfit)


def _report(law: L, curves: Sequence[Curve], best: Solution, dropped: int) -> LawFit[L]:
    r2, squares, count = [], 0.0, 0
    for curve in curves:
        predicted = law.predict(curve.learning_rates, curve.steps)
        r2.append(r_squared(curve.losses, predicted))
        squares += float(np.sum(np.log(curve.losses / predicted) ** 2))
        count += len(predicted)
    reason = best.reason + (f"; {dropped} losses that failed were left out" if dropped else "")
    return LawFit(law, tuple(r2), float(np.sqrt(squares / count)), best.converged, reason, dropped)


def r_squared(losses: FloatArray, predicted: FloatArray) -> float:
    """Return 1 - squared residuals / squared deviations from the mean; NaN without deviations."""
    spread = float(np.sum((losses - losses.mean()) ** 2))
    return 1.0 - float(np.sum((losses - predicted) ** 2)) / spread if spread > 0.0 else float("nan")
