"""What each kind of reading tells at its price: runs whose rate rises over the edge and falls back.

At every step: the full reading (Lanczos on a large fixed batch), and cheap ones beside it.
"""

import math

import torch
from models import Run, loss_fn

from lrsearch.curvature import (
    batch_sharpness,
    critical_rate,
    direction,
    quiet,
    restored,
    sharpness,
    sharpness_along,
    threshold,
)
from lrsearch.exceptions import MeasurementError

FULL = 256
FIXED = 128
BATCHES = 4
SETTLE = 20  # steps at the usual rate before the ramp
HIGHEST = 4.0  # times the rate that is stable at the start of the ramp
KINDS = ("forward-only", "batch sharpness", "warm, step batch", "warm, fixed batch", "critical")


def rates(steps: int, low: float, high: float) -> list[float]:
    """Geometric from low to high over the first half, and back."""
    half = steps / 2
    return [low * (high / low) ** (1 - abs(i - half) / half) for i in range(steps)]


def forward_only(run: Run, batch: tuple, d: list[torch.Tensor]) -> float | None:
    """As the watch takes it: three losses along the gradient in the optimizer's metric."""
    params = [p for p in run.model.parameters() if p.grad is not None]
    slope = float(sum((p.grad * x).sum() for p, x in zip(params, d, strict=True)))
    with quiet(run.model), restored(params):
        found = sharpness_along(lambda: float(loss_fn(run.model, batch)), params, d, slope)
    return found.sharpness


def readings(run: Run, batch: tuple, i: int, kept: dict) -> tuple[dict, dict]:
    """Every kind at the current weights, after a step on this batch; and what the next call needs.

    Normalised by what is stable, without the rate; with what each took, where that varies.
    """
    optimizer = run.optimizer
    big, fixed = run.probe(FULL), run.probe(FIXED)
    full_edge, edge = threshold(optimizer, full_batch=True), threshold(optimizer)
    # Refreshed every tenth step: an old eigenvector does not see one that overtakes it.
    full = sharpness(
        run.model, loss_fn, big, optimizer=optimizer, tolerance=0.01,
        start=kept.get("full") if i % 10 else None, seed=i,
    )  # fmt: skip
    optimizer.zero_grad()
    loss_fn(run.model, batch).backward()
    d = direction(optimizer)
    along = forward_only(run, batch, d)
    others = []
    for _ in range(BATCHES):
        picked = torch.randint(len(run.labels), (run.batch_size,), generator=kept["picks"])
        picked = picked.to(run.labels.device)
        others.append((run.images[picked], run.labels[picked]))
    felt = batch_sharpness(
        run.model, loss_fn, others, optimizer=optimizer, least=BATCHES, most=BATCHES
    )
    warm = {}
    for name, on in (("warm, step batch", batch), ("warm, fixed batch", fixed)):
        start = kept.get(name)
        most = 2 if start is not None else 8
        warm[name] = sharpness(
            run.model, loss_fn, on, optimizer=optimizer, start=start, max_hvps=most
        )
    bracket = critical_rate(
        run.model, loss_fn, batch, direction=[-x for x in d], start=kept["critical"],
        tolerance=0.125,
    )  # fmt: skip
    row = {
        "full": [full.value / full_edge, full.hvps],
        "forward-only": [None if along is None else along / edge, None],
        "batch sharpness": [felt.ratio_of_means / edge, None],
        **{name: [found.value / full_edge, found.hvps] for name, found in warm.items()},
        "critical": [2 / bracket.value / edge, bracket.evaluations],
    }
    return row, kept | warm | {"full": full, "critical": bracket.value}


def measure(run: Run, steps: int) -> dict:
    """One run; rows of step, rate, and normalised readings (times the rate, 1 is the edge)."""
    for _ in range(SETTLE):
        run.step()
    found = sharpness(run.model, loss_fn, run.probe(FULL), optimizer=run.optimizer)
    full_edge = threshold(run.optimizer, full_batch=True)
    stable = full_edge / found.value
    low = min(run.optimizer.param_groups[0]["lr"], stable / 2)
    kept = {"critical": stable, "picks": torch.Generator().manual_seed(77)}
    rows = []
    for i, rate in enumerate(rates(steps, low, HIGHEST * stable)):
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        loss, batch = run.step()
        if not math.isfinite(float(loss)):
            break
        try:
            row, kept = readings(run, batch, i, kept)
        except MeasurementError:  # a loss or a gradient is not finite: the run has diverged
            break
        rows.append({"rate": rate, "loss": float(loss), **row})
    return {
        "batch": run.batch_size,
        "full_batch": FULL,
        "fixed_batch": FIXED,
        "batches": BATCHES,
        "stable_rate_at_start": stable,
        "threshold_full": full_edge,
        "threshold_small": threshold(run.optimizer),
        "planned_steps": steps,
        "rows": [
            {
                k: [None if x is None else float(f"{x:.6g}") for x in v]
                if isinstance(v, list)
                else float(f"{v:.6g}")
                for k, v in row.items()
            }
            for row in rows
        ],
    }
