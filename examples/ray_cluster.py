"""lrsearch in Ray Tune: your own training function, your own parameters beside ours.

Run it on this machine:  python examples/ray_cluster.py
On a cluster:            python examples/ray_cluster.py --address auto --storage-path /shared/runs
Killed? The same command goes on (give it --storage-path, so that it knows where).
"""

import argparse
import os
import tempfile
from itertools import cycle, islice
from pathlib import Path

import torch
from ray import tune
from torch import nn

import lrsearch
import lrsearch.ray
from lrsearch.tasks import load_digits


def build(width: int):
    """Model, optimizer, loader and loss of one configuration."""
    torch.manual_seed(0)
    data = load_digits().train  # any data of yours; every node needs it
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    pairs = torch.utils.data.TensorDataset(data.images.flatten(1), data.labels)
    loader = torch.utils.data.DataLoader(pairs, batch_size=32, shuffle=True, drop_last=True)

    def loss_fn(model: nn.Module, batch) -> torch.Tensor:
        images, labels = batch
        return nn.functional.cross_entropy(model(images), labels)

    return model, optimizer, loader, loss_fn


def evaluate(model: nn.Module) -> float:
    """Validation loss."""
    data = load_digits().validation
    with torch.no_grad():
        return nn.functional.cross_entropy(model(data.images.flatten(1)), data.labels).item()


def train(config) -> None:
    """One trial, in a worker: your own loop with four lines of lrsearch in it."""
    saved = load()
    start = saved["step"] if saved else 0
    model, optimizer, loader, loss_fn = build(config["width"])
    trial = lrsearch.ray.trial(config, resumed_from=start)
    edge = lrsearch.ray.edge(trial, model, optimizer, loss_fn, loader, key=config["width"])
    schedule = lrsearch.ScheduleSpace(config["budget"]).suggest(trial, edge)
    scheduler = schedule.torch(optimizer)

    watch = lrsearch.ray.watch(model, optimizer, loss_fn, trial=trial)
    state = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "watch": watch}
    if saved:
        for name, part in state.items():
            part.load_state_dict(saved[name])
    with watch:
        for step, batch in enumerate(islice(cycle(loader), schedule.budget - start), start + 1):
            loss = loss_fn(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            watch.step(loss, batch)  # a reading becomes a result of Tune, which may stop the run
            if step % 100 == 0 and step < schedule.budget:
                save(trial, step, state)
    trial.report({"loss": evaluate(model)})


def save(trial, step: int, state: dict) -> None:
    """Give Tune a checkpoint; it goes to the storage path."""
    with tempfile.TemporaryDirectory() as folder:
        plain = {name: part.state_dict() for name, part in state.items()}
        torch.save({"step": step} | plain, Path(folder) / "state.pt")
        trial.report({}, checkpoint=tune.Checkpoint.from_directory(folder))


def load() -> dict | None:
    """What `save` wrote, where this trial goes on from a checkpoint."""
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return torch.load(Path(folder) / "state.pt", weights_only=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", help="auto or HOST:PORT of a running cluster")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--gpus", type=float, default=0.0, help="of one trial, such as 0.25")
    parser.add_argument("--storage-path", default=os.path.expanduser("~/ray_results"))
    parser.add_argument("--out", default="best.json")
    arguments = parser.parse_args()

    import ray

    ray.init(address=arguments.address)
    path = os.path.join(arguments.storage_path, "digits")
    if tune.Tuner.can_restore(path):  # an earlier run of this command
        tuner = tune.Tuner.restore(path, trainable=train, resume_unfinished=True)
    else:
        tuner = lrsearch.ray.tuner(
            train,
            lrsearch.ScheduleSpace(arguments.budget),
            metric="loss",
            mode="min",
            num_samples=arguments.trials,
            resources={"cpu": 1, "gpu": arguments.gpus},
            param_space={"width": tune.choice([32, 64]), "budget": arguments.budget},
            run_config=tune.RunConfig(name="digits", storage_path=arguments.storage_path),
        )
    results = tuner.fit()
    best = lrsearch.ray.best_schedule(results)
    best.save(arguments.out)
    width = results.get_best_result().config["width"]
    print(f"best: {best.family}, peak {best.peak:.4g}, width {width}")
