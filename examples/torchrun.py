"""One Optuna trial on several processes: DDP under torchrun, the first rank has the study.

Run it: torchrun --nproc-per-node 2 examples/torchrun.py [--trials 8] [--storage sqlite:///sweep.db]
"""

import argparse
from itertools import cycle, islice

import optuna
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import lrsearch
from lrsearch.tasks import load_digits

DATA = load_digits()  # any data of yours


def build(width: int):
    """Model, optimizer, loader and loss; every rank has a shard of the data."""
    torch.manual_seed(0)
    bare = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    model = DistributedDataParallel(bare)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    data = TensorDataset(DATA.train.images.flatten(1), DATA.train.labels)
    sampler = DistributedSampler(data, seed=0, drop_last=True)
    loader = DataLoader(data, batch_size=16, sampler=sampler, drop_last=True)

    def loss_fn(model: nn.Module, batch) -> torch.Tensor:
        images, labels = batch
        return nn.functional.cross_entropy(model(images), labels)

    return model, optimizer, loader, loss_fn


def evaluate(model: DistributedDataParallel) -> float:
    """Validation loss; the study takes the first rank's."""
    with torch.no_grad():
        logits = model.module(DATA.validation.images.flatten(1))
        return nn.functional.cross_entropy(logits, DATA.validation.labels).item()


def objective(trial) -> float:
    """One run, on every rank alike: what is suggested, measured and decided is the same on all."""
    width = trial.suggest_int("width", 32, 128, log=True)
    model, optimizer, loader, loss_fn = build(width)
    # All ranks measure together, on batches of their own: the edge of the whole batch.
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
            watch.step(loss, batch)  # stops all ranks at the same step
    return evaluate(model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--storage", default=None, help="such as sqlite:///sweep.db, to resume")
    parser.add_argument("--out", default="best.json")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    SPACE = lrsearch.ScheduleSpace(budget=arguments.budget)
    study = None
    if dist.get_rank() == 0:
        study = optuna.create_study(
            storage=arguments.storage,
            study_name="digits-ddp",
            load_if_exists=True,
            sampler=lrsearch.EdgeSampler(SPACE, seed=0),
            pruner=lrsearch.StabilityPruner(),
        )
    lrsearch.optimize(study, objective, n_trials=arguments.trials)  # on every rank
    if study is not None:
        best = lrsearch.best_schedule(study)
        best.save(arguments.out)
        print(f"best: {best.family}, peak {best.peak:.4g}, width {study.best_params['width']}")
    dist.destroy_process_group()
