"""A user's own Tuner with ASHA inside our trial scheduler; run, killed, restored.

python restore_scene.py FOLDER begin|restore
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

import lrsearch.ray
from lrsearch import Edge, ScheduleSpace

BUDGET, TRIALS = 16, 6
SPACE = ScheduleSpace(BUDGET, families=("linear",))


def train(config: dict[str, Any]) -> None:
    """A loss that falls towards a floor set by the multiplier; a checkpoint a step."""
    trial = lrsearch.ray.trial(config)
    schedule = SPACE.suggest(trial, Edge.known(0.1))
    folder, checkpoint, start = Path(config["folder"]), trial.checkpoint(), 0
    if checkpoint is not None:
        with checkpoint.as_directory() as place:
            start = int((Path(place) / "step").read_text())
    own = Path("checkpoint")
    own.mkdir(exist_ok=True)
    for step in range(start + 1, BUDGET + 1):
        time.sleep(float((folder / "pace").read_text()))
        with (folder / "steps").open("a") as file:
            file.write(f"{trial.number} {step}\n")
        trial.step = step
        (own / "step").write_text(str(step))
        loss = abs(schedule.peak - 0.1) + 1 / step
        trial.report({"loss": loss}, checkpoint=tune.Checkpoint.from_directory(own))


def rungs(scheduler: Any) -> list[dict[str, float]]:
    """Milestone by milestone, what ASHA has recorded of which trial."""
    return [
        {"milestone": milestone, **recorded}
        for bracket in scheduler.wrapped._brackets
        for milestone, recorded in bracket._rungs
    ]


def main(folder: Path, what: str) -> None:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    path = str(folder / "runs" / "scene")
    if what == "begin":
        asha = ASHAScheduler(
            time_attr="lrsearch_step", max_t=BUDGET, grace_period=4, reduction_factor=2
        )
        tuner = lrsearch.ray.tuner(
            train,
            SPACE,
            metric="loss",
            mode="min",
            seed=0,
            storage=f"sqlite:///{folder}/s.db",
            study_name="scene",
            param_space={"folder": str(folder)},
            resources={"cpu": 1},
            tune_config=tune.TuneConfig(
                num_samples=TRIALS, scheduler=lrsearch.ray.StabilityTrialScheduler(asha)
            ),
            run_config=tune.RunConfig(name="scene", storage_path=str(folder / "runs"), verbose=0),
        )
    else:
        tuner = tune.Tuner.restore(path, trainable=tune.with_resources(train, {"cpu": 1}))
    results = tuner.fit()
    config = tuner._local_tuner._tune_config
    done = {
        "pid": os.getpid(),
        "rungs": rungs(config.scheduler),
        "trials": [
            {"id": r.metrics["trial_id"], "step": r.metrics["lrsearch_step"]} for r in results
        ],
    }
    (folder / f"{what}.json").write_text(json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
