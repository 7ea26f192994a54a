"""Part A: scalar networks. How gradient descent behaves, and whether the flow's sharpness falls.

python studies/gradient_flow_solution/scalar.py [--quick] [--out FOLDER]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import fill, parsed
from flows import ENDED, LOST, RISE, flow_sharpness, loss_of, sharpness_of, starts, step

STARTS = {
    "2": (2.0, 0.6),
    "3": (3.0, 0.5, 0.5),
    "4": (12.5, 0.05, 0.05, 0.05),
    "4-balanced": (1.5, 1.2, 0.8, 0.6),
    "4-near": (5.0, 1.5, 1.0, 0.15),
    "6": (1.5, 1.2, 1.1, 0.9, 0.8, 0.6),
}
DEPTHS = (2, 3, 4, 6)
SCANNED = tuple(round(0.2 * i, 1) for i in range(1, 31))  # rate times phi at the start
SHOWN = (0.5, 2.1, 2.6, 5.0)  # in the figure
SPREADS = (0.2, 0.4, 0.7, 1.0)
TOP = 2 * np.sqrt(2)
DELTA = 0.4  # of the theorem on the edge of stability, which asks for L <= DELTA^2 / 200
KEPT = 300  # points of a curve in the figure


def scan(name: str, products: tuple[float, ...], steps: int) -> list[dict[str, Any]]:
    """One start, many rates: what becomes of it."""
    w = np.tile(STARTS[name], (len(products), 1))
    first, phi = loss_of(w), flow_sharpness(w)
    rate = np.array(products) / phi
    ended = np.full(len(w), -1)
    left, phi_rises, loss_rises = (np.zeros(len(w), int) for _ in range(3))
    peak, before = first.copy(), first
    for t in range(1, steps + 1):
        live = (ended < 0) & (before < LOST)
        w = np.where(live[:, None], step(w, rate), w)
        loss, now = loss_of(w), flow_sharpness(w)
        left = np.where((left == 0) & live & (w.min(axis=1) <= 0), t, left)
        phi_rises += live & (left == 0) & (now > phi * (1 + RISE))
        loss_rises += live & (loss > before * (1 + RISE) + 1e-30)
        peak, before, phi = np.maximum(peak, loss), loss, now
        ended = np.where(live & (loss < ENDED), t, ended)
    return [
        {
            "product": product,
            "rate": float(rate[i]),
            "end": float(rate[i] * phi[i]),
            "loss": float(before[i]),
            "peak_over_first": float(peak[i] / first[i]),
            "converged_at": int(ended[i]),
            "left_at": int(left[i]),
            "phi_rises": int(phi_rises[i]),
            "loss_rises": int(loss_rises[i]),
            "lost": bool(not before[i] < LOST),
        }
        for i, product in enumerate(products)
    ]


def curves(name: str, steps: int) -> list[dict[str, Any]]:
    """Loss, sharpness and phi along some of them."""
    found = []
    for product in SHOWN:
        w = np.array([STARTS[name]])
        rate = product / flow_sharpness(w)
        points: list[list[float]] = []
        kept = set(np.unique(np.geomspace(1, steps, KEPT).astype(int)).tolist()) | {0}
        for t in range(steps + 1):
            value = float(loss_of(w)[0])
            if t in kept:
                sharp = float(sharpness_of(w)[0]) if value < LOST else np.nan
                points.append([t, value, float(rate[0]) * sharp,
                               float(rate[0] * flow_sharpness(w)[0])])  # fmt: skip
            if not ENDED < value < LOST:
                break
            w = step(w, rate)
        found.append({"product": product, "rate": float(rate[0]), "points": points})
    return found


def cell(depth: int, spread: float, count: int, steps: int) -> dict[str, Any]:
    """Random starts and rates: falls of phi, exits from the positive orthant, ends."""
    rng = np.random.default_rng([depth, round(10 * spread)])
    w = starts(depth, spread, count, rng)
    phi = flow_sharpness(w)
    product = TOP * rng.random(count)
    rate, tame = product / phi, (product <= 2) & (np.abs(w.prod(axis=1) - 1) < 0.5)
    first = phi.copy()
    left, paired, paired_rise = (np.zeros(count, bool) for _ in range(3))
    rises = np.zeros(count, int)
    for _ in range(steps):
        w = step(w, rate)
        now, out = flow_sharpness(w), w.min(axis=1) <= 0
        new = out & ~left
        paired |= new & (w.prod(axis=1) > 0)
        paired_rise |= new & (w.prod(axis=1) > 0) & (now > phi * (1 + RISE))
        left |= out
        rises += ~left & (now > phi * (1 + RISE))
        phi = now
    loss, inside = loss_of(w), ~left
    end = rate * phi
    converged = inside & (loss < ENDED)
    return {
        "depth": depth,
        "spread": spread,
        "runs": count,
        "steps": steps,
        "violations": int((rises > 0).sum()),
        "left": int(left.sum()),
        "left_in_pairs": int(paired.sum()),
        "left_in_pairs_and_rose": int(paired_rise.sum()),
        "tame": int(tame.sum()),
        "tame_left": int((tame & left).sum()),
        "converged": int(converged.sum()),
        "largest_end": float(end[converged].max()) if converged.any() else None,
        "above_two": int((inside & (product > 2)).sum()),
        "above_two_below_at_end": int((inside & (product > 2) & (end <= 2)).sum()),
        "fell_by_median": float(np.median((phi / first)[inside])) if inside.any() else None,
    }


def edge(depth: int, count: int, steps: int, every: int = 50) -> dict[str, Any]:
    """Just above the edge with a small loss: where it ends (theorem on the edge of stability)."""
    rng = np.random.default_rng([depth, 77])
    w = starts(depth, 0.5, count, rng)
    w /= w.prod(axis=1, keepdims=True) ** (1 / depth)  # a minimum ...
    sign = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    pi = 1 + sign * np.sqrt(2 * DELTA**2 / 200 * rng.random(count))  # ... and a little off it
    w *= pi[:, None] ** (1 / depth)
    phi = flow_sharpness(w)
    product = 2 * (1 + 0.05 * rng.random(count))
    rate = product / phi
    out, rises = np.zeros(count, bool), np.zeros(count, int)
    for t in range(1, steps + 1):
        w = step(w, rate)
        out |= w.min(axis=1) <= 0
        if t % every == 0 or t <= every:
            now = flow_sharpness(w)
            rises += ~out & (now > phi * (1 + RISE))
            phi = now
    end, converged = rate * phi, loss_of(w) < ENDED
    return {
        "depth": depth,
        "runs": count,
        "steps": steps,
        "left": int(out.sum()),
        "violations": int((rises > 0).sum()),
        "converged": int(converged.sum()),
        "converged_in_range": int((converged & (end <= 2) & (end >= 2 - DELTA)).sum()),
        "smallest_end": float(end[~out].min()),
        "largest_end": float(end[~out].max()),
        "largest_end_converged": float(end[converged].max()) if converged.any() else None,
    }


def pairs(steps: int, tries: int) -> dict[str, Any]:
    """Rates so high that two weights change sign in one step: does phi still fall?"""
    rng = np.random.default_rng(5)
    w = starts(4, 0.7, tries, rng)
    first, phi = w.copy(), flow_sharpness(w)
    product = 2 + 8 * rng.random(tries)
    rate = product / phi
    flipped, positive, rose = np.zeros(tries, bool), np.ones(tries, bool), np.zeros(tries, bool)
    for _ in range(steps):
        w = step(w, rate)
        now = flow_sharpness(w)
        positive &= (w.prod(axis=1) > 0) & (loss_of(w) < LOST)
        flipped |= w.min(axis=1) < 0
        rose |= positive & (now > phi * (1 + RISE))
        phi = now
    kept = positive & flipped
    example = int(np.flatnonzero(kept & rose)[0]) if (kept & rose).any() else None
    at: dict[str, Any] = {}
    if example is not None:
        at = {"weights": first[example].tolist(), "rate": float(rate[example])}
    return {
        "runs": tries,
        "steps": steps,
        "product_stayed_positive": int(positive.sum()),
        "of_these_signs_flipped": int(kept.sum()),
        "of_these_phi_rose": int((kept & rose).sum()),
        "rose_without_a_flip": (product[positive & ~flipped & rose]).tolist(),  # rate times phi
        "flipped_and_rose_least_product": float(product[kept & rose].min()),
        "example": at,
    }


def main(arguments: list[str] | None = None) -> None:
    options = parsed(__doc__, arguments, "scalar")
    out, quick = options.out, options.quick
    long = 60 if quick else 20_000
    for name in ("2", "4") if quick else STARTS:
        fill(out / f"scan_{name}.json.gz", lambda n=name: {
            "name": n, "start": STARTS[n], "steps": long, "runs": scan(n, SCANNED, long),
            "curves": curves(n, long),
        })  # fmt: skip
    for depth in (2, 4) if quick else DEPTHS:
        for spread in SPREADS[:1] if quick else SPREADS:
            fill(
                out / f"cell_{depth}_{spread}.json.gz",
                lambda d=depth, s=spread: cell(d, s, 20 if quick else 400, 60 if quick else 1_500),
            )
        fill(out / f"edge_{depth}.json.gz", lambda d=depth: edge(d, 20 if quick else 400, long))
    fill(out / "pairs.json.gz", lambda: pairs(20, 2_000 if quick else 200_000))


if __name__ == "__main__":
    main()
