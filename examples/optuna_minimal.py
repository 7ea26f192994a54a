"""lrsearch in a user's own Optuna study: own model, own loop, own parameters beside ours.

Run it: python examples/optuna_minimal.py [--trials 12] [--storage sqlite:///sweep.db]
"""

import argparse
from itertools import cycle, islice

import optuna
import torch
from torch import nn

import lrsearch
from lrsearch.tasks import load_digits

DATA = load_digits()  # any data of yours


def build(width: int):
    """Model, optimizer, loader and loss of one configuration."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    data = torch.utils.data.TensorDataset(DATA.train.images.flatten(1), DATA.train.labels)
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True, drop_last=True)

    def loss_fn(model: nn.Module, batch) -> torch.Tensor:
        images, labels = batch
        return nn.functional.cross_entropy(model(images), labels)

    return model, optimizer, loader, loss_fn


def evaluate(model: nn.Module) -> float:
    """Validation loss."""
    with torch.no_grad():
        logits = model(DATA.validation.images.flatten(1))
        return nn.functional.cross_entropy(logits, DATA.validation.labels).item()


def objective(trial: optuna.Trial) -> float:
    """One run: the user's own training loop with three lines of lrsearch in it."""
    width = trial.suggest_int("width", 32, 128, log=True)
    model, optimizer, loader, loss_fn = build(width)
    # The edge is measured once per key: give the key what changes it (here narrow or wide).
    edge = lrsearch.edge(trial, model, optimizer, loss_fn, loader, key=("width", width > 64))
    schedule = SPACE.suggest(trial, edge)
    scheduler = schedule.torch(optimizer)
    with lrsearch.watch(model, optimizer, loss_fn, host=trial) as watch:
        for batch in islice(cycle(loader), schedule.budget):
            loss = loss_fn(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            watch.step(loss, batch)
    return evaluate(model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--storage", default=None, help="such as sqlite:///sweep.db, to resume")
    parser.add_argument("--out", default="best.json")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    SPACE = lrsearch.ScheduleSpace(budget=arguments.budget)
    study = optuna.create_study(
        storage=arguments.storage,
        study_name="digits",
        load_if_exists=True,
        sampler=lrsearch.EdgeSampler(SPACE, seed=0),
        pruner=lrsearch.StabilityPruner(),
    )
    study.optimize(objective, n_trials=arguments.trials)
    best = lrsearch.best_schedule(study)
    best.save(arguments.out)
    print(f"best: {best.family}, peak {best.peak:.4g}, width {study.best_params['width']}")
