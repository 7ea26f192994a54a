"""A constant rate and averaged weights beside a decay, in your own Optuna study and your own loop.

    python examples/averaged.py [--trials 12] [--out best.json]

Two lines differ from a loop that knows no averaging: the scheduler is given the model, and what is
evaluated is `averaged_model`: where the schedule averages, the mean of the weights, whose batch
normalisation has been shown some batches again; else the model itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice

import optuna
import torch
from torch import Tensor, nn

import lrsearch
from lrsearch.tasks import load_digits
from lrsearch.training import averaged_model

DATA = load_digits()  # any data of yours
Batch = tuple[Tensor, Tensor]


def network() -> nn.Module:
    """A small network with batch normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels)


def endless(loader: torch.utils.data.DataLoader[Batch]) -> Iterator[Batch]:
    while True:
        yield from loader


def evaluate(model: nn.Module) -> float:
    """Validation loss."""
    model.eval()
    with torch.no_grad():
        value = loss_fn(model, (DATA.validation.images, DATA.validation.labels)).item()
    model.train()
    return value


def objective(trial: optuna.Trial) -> float:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    data = torch.utils.data.TensorDataset(DATA.train.images, DATA.train.labels)
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True, drop_last=True)
    edge = lrsearch.edge(trial, model, optimizer, loss_fn, loader)
    schedule = SPACE.suggest(trial, edge)
    scheduler = schedule.torch(optimizer, model=model)
    with lrsearch.watch(model, optimizer, loss_fn, host=trial) as watch:
        for batch in islice(endless(loader), schedule.budget):
            loss = loss_fn(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            watch.step(loss, batch)
    result = averaged_model(model, scheduler, loss_fn, loader)
    trial.set_user_attr("unaveraged", evaluate(model))
    return evaluate(result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--out", default="best.json")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    SPACE = lrsearch.ScheduleSpace(arguments.budget, families=("linear", "swa", "ema", "two_phase"))
    study = optuna.create_study(
        study_name="averaged",
        sampler=lrsearch.EdgeSampler(SPACE, seed=0),
        pruner=lrsearch.StabilityPruner(),
    )
    for family in SPACE.families:  # each once, then as the sampler likes
        lrsearch.enqueue(study, 0.1, family)
    study.optimize(objective, n_trials=arguments.trials)
    for trial in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)):
        print(
            f"{trial.params['schedule_family']:10s} loss {trial.value:.4f}, "
            f"last weights {trial.user_attrs['unaveraged']:.4f}"
        )
    best = lrsearch.best_schedule(study)
    best.save(arguments.out)
    print(f"best: {best.family}, peak {best.peak:.4g}")
