"""Measure the condition number that phi = 2 kappa asks for, along linear decay at its best peak.

    python studies/budgeted_schedules/condition.py [--out FOLDER] [TASK/OPTIMIZER ...]   # resumes

In the optimizer's metric, on 512 training examples (64 passages): the spectral density by Lanczos
from a random vector (Ritz values with their weights), the quotient along the gradient, and batch
sharpness. A minute or two.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsearch.curvature import Hessian, batch_sharpness, lanczos

sys.path.insert(0, str(Path(__file__).parent))
from bracket import best, peak, wanted
from contenders import SHAPES
from problems import OPTIMIZERS, PROBLEMS, Pair, Problem
from run import BUDGETS, RAW, environment, place, read, tuned, write

MOMENTS = (0.1, 1.0)  # of the budget
PRODUCTS = 40  # of Lanczos
BATCHES = 10
SEED = 0  # one of the tuning seeds


def loss_fn(model: nn.Module, batch: Pair) -> Tensor:
    out = model(batch[0])
    return functional.cross_entropy(out.reshape(-1, out.shape[-1]), batch[1].flatten())


def measured(problem: Problem, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """Curvature at the model as it is."""
    x, y = problem.data()[0]
    generator = torch.Generator().manual_seed(5)
    several = torch.randperm(len(y), generator=generator)
    some = several[: 512 if y.dim() == 1 else 64]
    batches = several[512:].split(problem.batch)[:BATCHES]
    with Hessian(model, loss_fn, (x[some], y[some]), optimizer=optimizer, full_batch=False) as h:
        start = h.random(SEED)
        found = lanczos(h.__matmul__, start, k=PRODUCTS, tolerance=0.0, max_products=PRODUCTS)
        weights = (found.vectors @ start) ** 2
        loss, gradient = h.gradient()
        along = float(gradient @ (h @ gradient) / (gradient @ gradient))
    noisy = batch_sharpness(
        model, loss_fn, [(x[b], y[b]) for b in batches], optimizer=optimizer, tolerance=0.0
    )
    return {
        "loss": loss,
        "values": list(found.values),
        "weights": [float(w) for w in weights / weights.sum()],
        "along_gradient": along,
        "batch_sharpness": noisy.ratio_of_means,
    }


def train(problem: Problem, kind: str, budget: str, k: int) -> Iterator[tuple[float, dict]]:
    """Linear decay at a peak; share of the budget -> curvature."""
    steps = BUDGETS[budget]
    torch.manual_seed(SEED)
    model = problem.net().plain()
    optimizer: torch.optim.Optimizer
    if kind == "momentum":
        optimizer = torch.optim.SGD(
            model.parameters(), 1.0, momentum=0.9, weight_decay=problem.decay
        )
    else:
        optimizer = torch.optim.AdamW(model.parameters(), 1.0)
    x, y = problem.data()[0]
    at = {round(share * steps): share for share in MOMENTS}
    rates = peak(k) * SHAPES["linear"].values(steps)
    for step, chosen in enumerate(problem.order(SEED, steps), 1):
        optimizer.param_groups[0]["lr"] = float(rates[step - 1])
        optimizer.zero_grad()
        loss_fn(model, (x[chosen], y[chosen])).backward()
        optimizer.step()
        if step in at:
            yield at[step], measured(problem, model, optimizer)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RAW)
    parser.add_argument("cells", nargs="*", help="task/optimizer; all by default")
    options = parser.parse_args(arguments)
    for label in options.cells or [f"{t}/{o}" for t in PROBLEMS for o in OPTIMIZERS]:
        task, kind = label.split("/")
        path = place(options.out / "condition", label)
        cell: dict[str, Any] = {"task": task, "optimizer": kind, "environment": environment()}
        cell = read(path) if path.exists() else cell | {"readings": []}
        for budget in BUDGETS:
            whole = place(options.out, f"{label}/{budget}")
            if any(r["budget"] == int(budget) for r in cell["readings"]) or not whole.exists():
                continue
            found = tuned(read(whole), "linear")
            if not found or wanted(found, 0, 0):  # its peak is still sought
                continue
            begun, k = time.process_time(), best(found)
            for share, reading in train(PROBLEMS[task], kind, budget, k):
                rate = {"k": k, "rate": peak(k)}
                cell["readings"].append({"budget": int(budget), "share": share, **rate, **reading})
            write(path, cell)
            print(f"{label}/{budget}: {time.process_time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
