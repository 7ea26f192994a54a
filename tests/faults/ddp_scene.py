"""A user's data-parallel training function in Tune; test_ray_ddp.py looks at what it leaves.

python ddp_scene.py FOLDER
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from torch import nn

import lrsearch.ray
from lrsearch import ScheduleSpace

SPACE = ScheduleSpace(40, families=("linear",))


def train(config: dict[str, Any]) -> None:
    """Trial 0 loses a rank once, after its checkpoint; trial 1 loses its loss on one rank."""
    import ray.train.torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    torch.manual_seed(0)
    rank, folder = dist.get_rank(), Path(config["folder"])
    network = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))
    model = ray.train.torch.prepare_model(network)
    generator = torch.Generator().manual_seed(100 + rank)
    loader = [
        (torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator))
        for _ in range(24)
    ]

    def loss_fn(model: nn.Module, batch: Any) -> torch.Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trial = lrsearch.ray.trial(config)
    saved, checkpoint = None, trial.checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as place:
            saved = torch.load(Path(place) / "state.pt", weights_only=True)
        trial = lrsearch.ray.trial(config, resumed_from=saved["step"])
    edge = lrsearch.ray.edge(trial, model, optimizer, loss_fn, loader)
    schedule = SPACE.suggest(trial, edge)
    scheduler = schedule.torch(optimizer)
    watch = lrsearch.ray.watch(model, optimizer, loss_fn, trial=trial)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "watch": watch}
    done = saved["step"] if saved else 0
    for name, part in parts.items():
        if saved:
            part.load_state_dict(saved[name])
    try:
        with watch:
            for batch in islice(cycle(loader), done, schedule.budget):
                loss = loss_fn(model, batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                done += 1
                lost = trial.number == 1 and rank == 1 and done >= 20
                watch.step(loss * math.nan if lost else loss, batch)
                if done == 10:
                    own = folder / f"state-{trial.number}-{rank}"
                    own.mkdir(exist_ok=True)
                    plain = {name: part.state_dict() for name, part in parts.items()}
                    torch.save({"step": done} | plain, own / "state.pt")
                    trial.report({}, checkpoint=tune.Checkpoint.from_directory(own))
                if done == 15 and trial.number == 0 and rank == 1 and saved is None:
                    os.kill(os.getpid(), signal.SIGKILL)
        trial.report({"loss": 1.0})
    finally:
        time.sleep(3)  # what users do at the end takes its time, and is not to be cut off
        found = {
            "steps": done,
            "edge": edge.learning_rate,
            "readings": [r.to_dict() for r in watch.readings],
        }
        (folder / f"{trial.number}-{rank}.json").write_text(json.dumps(found))


def main(folder: Path) -> None:
    ray.init(num_cpus=2, include_dashboard=False, address="local")
    tuner = lrsearch.ray.tuner(
        lrsearch.ray.data_parallel(train, workers=2, storage_path=str(folder / "train")),
        SPACE,
        metric="loss",
        mode="min",
        seed=0,
        storage=f"sqlite:///{folder}/s.db",
        study_name="ddp",
        param_space={"folder": str(folder)},
        tune_config=tune.TuneConfig(num_samples=2, max_concurrent_trials=1),
        run_config=tune.RunConfig(name="scene", storage_path=str(folder / "runs"), verbose=1),
    )
    tuner.fit()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
