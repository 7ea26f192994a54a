"""A worker process of test_workers.py: one study, a few trials, one JSON line at the end."""

from __future__ import annotations

import json
import math
import os
import sys
import time
import warnings

import optuna
import torch
from torch import nn

import lrsearch
from lrsearch.sweeps import open_storage

SPACE = lrsearch.ScheduleSpace(budget=60)


def search(study: optuna.Study, n_trials: int, partners: int) -> None:
    """Trials with a partner: each worker's first one waits until all workers have begun one."""

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("pid", os.getpid())
        width = trial.suggest_int("width", 1, 64)
        SPACE.suggest(trial, 0.1)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len({t.user_attrs.get("pid") for t in study.get_trials(deepcopy=False)}) >= partners:
                break
            time.sleep(0.02)
        return (math.log2(trial.params["edge_multiplier"]) - 1) ** 2 + 0.001 * width

    study.optimize(objective, n_trials=n_trials)


def measure(study: optuna.Study) -> dict[str, float]:
    """One trial that asks for the edge; how many losses that took."""
    calls = 0

    def loss_fn(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return model(batch).pow(2).mean()

    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    trial = study.ask()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [torch.randn(4, 3) for _ in range(12)]
    edge = lrsearch.edge(trial, model, optimizer, loss_fn, batches, key="k")
    study.tell(trial, 0.0)
    return {"calls": calls, "edge": edge.learning_rate, "cost": edge.cost}


def main() -> None:
    task, url, seed, n_trials, partners = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    warnings.simplefilter("error")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=open_storage(url, create=True) if url else None,
        study_name="shared",
        load_if_exists=True,
        sampler=lrsearch.EdgeSampler(SPACE, seed=seed),
        pruner=lrsearch.StabilityPruner(),
    )
    if task == "measure":
        print(json.dumps(measure(study)))
        return
    search(study, n_trials, partners)
    print(json.dumps([t.params for t in study.trials]))


if __name__ == "__main__":
    main()
