"""Part B: squared regression, ``f(x) = x . (u^2 - v^2)``, a diagonal network of two layers.

    python studies/gradient_flow_solution/regression.py [--quick] [--out FOLDER]

``L = 1/(2n) sum_k (x_k . (u^2 - v^2) - y_k)^2``, n examples in d > n dimensions. The flow moves
``u = u_0 exp(2 X' nu)`` and ``v = v_0 exp(-2 X' nu)`` with some nu (n,): so its solution is known
without an equation of motion, as the nu where the examples are fitted. That is the minimum of the
convex function ``sum(u^2 + v^2) / 4 - y . nu``, found by Newton steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from common import fill, parsed
from flows import ENDED, LOST, RISE, Array

NEWTON, POLISH = 60, 3
TOP = 2 * np.sqrt(2)
EXAMPLES = (1, 3, 8)
DIMENSIONS = 20
SHOWN = (0.5, 2.1, 2.6, 5.0)


@dataclass(frozen=True)
class Ensemble:
    """Runs side by side.

    Attributes:
        x: Inputs (r, n, d).
        y: Targets (r, n).
        u: Weights (r, d).
        v: Weights (r, d).
    """

    x: Array
    y: Array
    u: Array
    v: Array

    def residual(self) -> Array:
        found: Array = np.einsum("rnd,rd->rn", self.x, self.u**2 - self.v**2) - self.y
        return found

    def loss(self) -> Array:
        return 0.5 * np.asarray((self.residual() ** 2).mean(axis=1))

    def step(self, rate: Array) -> Ensemble:
        """Of gradient descent; what is lost stays where it is."""
        with np.errstate(all="ignore"):
            slope = 2 * np.einsum("rnd,rn->rd", self.x, self.residual()) / self.x.shape[1]
            move = np.where((self.loss() < LOST)[:, None], rate[:, None] * slope, 0.0)
            return Ensemble(self.x, self.y, self.u * (1 - move), self.v * (1 + move))

    def only(self, kept: Array | int) -> Ensemble:
        return Ensemble(self.x[kept], self.y[kept], self.u[kept], self.v[kept])


def solution(at: Ensemble) -> Ensemble:
    """Where the flow ends; NaN where Newton's iteration does not get there."""
    nu = np.zeros_like(at.y)

    def moved(nu: Array) -> Ensemble:
        z = 2 * np.einsum("rnd,rn->rd", at.x, nu)
        return Ensemble(at.x, at.y, at.u * np.exp(z), at.v * np.exp(-z))

    def value(here: Ensemble, nu: Array) -> Array:
        return np.asarray((here.u**2 + here.v**2).sum(axis=1) / 4 - (at.y * nu).sum(axis=1))

    with np.errstate(all="ignore"):
        here = moved(nu)
        for _ in range(NEWTON):
            weight = 4 * (here.u**2 + here.v**2)
            matrix = np.einsum("rnd,rd,rmd->rnm", at.x, weight, at.x)
            slope = here.residual()
            step = np.linalg.solve(matrix, slope[:, :, None])[:, :, 0]
            size = np.ones(len(nu))
            for _ in range(30):  # back until it falls
                ahead = moved(nu - size[:, None] * step)
                good = value(ahead, nu - size[:, None] * step) <= value(here, nu) + 1e-13
                if good.all():
                    break
                size = np.where(good, size, size / 2)
            nu = nu - size[:, None] * step
            here = moved(nu)
            if np.abs(here.residual()).max() < 1e-13:
                break
        for _ in range(POLISH):  # where the function's own rounding hides that it falls
            matrix = np.einsum("rnd,rd,rmd->rnm", at.x, 4 * (here.u**2 + here.v**2), at.x)
            nu = nu - np.linalg.solve(matrix, here.residual()[:, :, None])[:, :, 0]
            here = moved(nu)
        bad = ~(np.abs(here.residual()).max(axis=1) < 1e-9)
    return Ensemble(at.x, at.y, np.where(bad[:, None], np.nan, here.u), here.v)


def flow_sharpness(at: Ensemble) -> Array:
    """Largest eigenvalue of ``4/n X diag(u^2 + v^2) X'`` at the flow's end (r,); NaN if unknown."""
    end = solution(at)
    weight = end.u**2 + end.v**2
    gram = 4 * np.einsum("rnd,rd,rmd->rnm", at.x, weight, at.x) / at.x.shape[1]
    known = np.isfinite(gram).all(axis=(1, 2))
    found = np.full(len(gram), np.nan)
    found[known] = np.linalg.eigvalsh(gram[known])[:, -1]
    return found


def sharpness_of(at: Ensemble) -> float:
    """Largest eigenvalue of the Hessian of the first run."""
    x, n = at.x[0], at.x.shape[1]
    jacobian = 2 * np.concatenate([x * at.u[0], -x * at.v[0]], axis=1)
    bend = 2 * (at.residual()[0] @ x) / n
    hessian = jacobian.T @ jacobian / n + np.diag(np.concatenate([bend, -bend]))
    return float(np.linalg.eigvalsh(hessian)[-1])


def starts(examples: int, count: int, rng: np.random.Generator, near: float) -> Ensemble:
    """Log-normal weights; targets within ``near`` (relative) of what the start says."""
    x = rng.standard_normal((count, examples, DIMENSIONS))
    u, v = np.exp(0.5 * rng.standard_normal((2, count, DIMENSIONS)))
    said = np.einsum("rnd,rd->rn", x, u**2 - v**2)
    return Ensemble(x, said * (1 + near * rng.uniform(-1, 1, said.shape)), u, v)


def cell(examples: int, near: float, count: int, steps: int) -> dict[str, Any]:
    """Random data, starts and rates."""
    rng = np.random.default_rng([examples, round(10 * near)])
    at = starts(examples, count, rng, near)
    phi = flow_sharpness(at)
    product = TOP * rng.random(count)
    rate = product / phi
    left, rises = np.zeros(count, bool), np.zeros(count, int)
    largest = np.zeros(count)
    before, loss_rose = at.loss(), np.zeros(count, bool)
    for _ in range(steps):
        at = at.step(rate)
        left |= (np.minimum(at.u, at.v).min(axis=1) <= 0) | ~(at.loss() < LOST)
        now, loss = flow_sharpness(at), at.loss()
        up = ~left & (now > phi * (1 + 1e3 * RISE))
        rises += up
        largest = np.maximum(largest, np.where(up, now / phi - 1, 0.0))
        loss_rose |= ~left & (loss > before * (1 + RISE) + 1e-25)
        phi, before = now, loss
    end, converged = rate * phi, ~left & (at.loss() < ENDED)
    return {
        "examples": examples,
        "near": near,
        "runs": count,
        "steps": steps,
        "left": int(left.sum()),
        "violations": int((rises > 0).sum()),
        "violations_below_two": int(((rises > 0) & (product <= 2)).sum()),
        "largest_rise": float(largest.max()),
        "loss_rose": int(loss_rose.sum()),
        "converged": int(converged.sum()),
        "largest_end": float(end[converged].max()) if converged.any() else None,
        "above_two": int((~left & (product > 2)).sum()),
        "above_two_below_at_end": int((~left & (product > 2) & (end <= 2)).sum()),
        "unknown": int(np.isnan(phi[~left]).sum()),
    }


def curves(steps: int) -> dict[str, Any]:
    """One example, one start, some rates, for the figure."""
    begun = starts(1, 1, np.random.default_rng(3), 0.2)
    first, found = flow_sharpness(begun), []
    for product in SHOWN:
        at, rate, points = begun, product / first, []
        for t in range(steps + 1):
            loss = float(at.loss()[0])
            known = loss < LOST
            points.append([t, loss, float(rate[0]) * sharpness_of(at) if known else np.nan,
                           float(rate[0] * flow_sharpness(at)[0])])  # fmt: skip
            if not ENDED < loss < LOST:
                break
            at = at.step(rate)
        found.append({"product": product, "rate": float(rate[0]), "points": points})
    return {"steps": steps, "curves": found}


def main(arguments: list[str] | None = None) -> None:
    options = parsed(__doc__, arguments, "regression")
    count, steps = (10, 20) if options.quick else (200, 1_000)
    fill(options.out / "curves.json.gz", lambda: curves(steps))
    for examples in EXAMPLES[:1] if options.quick else EXAMPLES:
        for near in (0.1,) if options.quick else (0.1, 0.5):
            fill(options.out / f"cell_{examples}_{near}.json.gz",
                 lambda n=examples, r=near: cell(n, r, count, steps))  # fmt: skip


if __name__ == "__main__":
    main()
