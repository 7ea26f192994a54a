"""`lrsearch sweep digits`, locally and with four Ray workers: quality, cost, and where time goes.

    python studies/ray_scale/quality.py            # resumes; one file a seed and side in raw/
    python studies/ray_scale/quality.py --one local 0

Each sweep runs in a process of its own, local and Ray in turn, so that both meet the same
neighbours on the machine. Both winners of a seed are retrained with the same fresh seeds.
Side "fresh" is `ray_sweep` with a new process for every trial, side "reuse" with processes that go
on to the next trial (Tune's ``reuse_actors``).
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ORIGIN = time.time()  # before anything is imported

sys.path.insert(0, str(Path(__file__).parent))
import common  # noqa: E402

SEEDS, BUDGET, TRIALS, WORKERS = 5, 600, 20, 4
SIDES = {"local": SEEDS, "reuse": SEEDS, "fresh": 1}  # seeds each; new processes only cost time
FRESH = range(10_000, 10_008)  # seeds of the retrainings


def stamped(train: Callable[..., Any], path: str) -> Callable[..., Any]:
    """`train`, that notes in a file when it began and ended, and in which process."""

    def train_and_note(*args: Any, **kwargs: Any) -> Any:
        import json
        import os
        import time

        begun, cpu = time.time(), time.process_time()
        try:
            return train(*args, **kwargs)
        finally:
            line = {"pid": os.getpid(), "begun": begun, "ended": time.time()}
            line["cpu"] = time.process_time() - cpu
            with open(path, "a") as file:
                file.write(json.dumps(line) + "\n")

    return train_and_note


class Clock:
    """A sweep's listener that notes when things happened, in seconds since the process began."""

    def __init__(self) -> None:
        self.events: list[list[Any]] = []

    def mark(self, what: str) -> None:
        self.events.append([what, time.time() - ORIGIN])

    def known(self, ended: int) -> None:
        self.mark("known")

    def note(self, line: str) -> None:
        if line.startswith("measuring the edge in a worker"):
            self.mark("edge asked")

    def edge(self, edge: Any, *, measured: bool) -> None:
        self.mark("edge")

    def begin(self, number: int, plan: Any, resumed_from: int) -> None:
        self.mark("begin")

    def step(self, number: int, step: int) -> None:
        pass

    def end(self, trial: Any) -> None:
        self.mark("end")


def one(side: str, seed: int) -> dict[str, Any]:
    """One sweep, with everything that is asked of it."""
    import torch

    torch.set_num_threads(1)
    from lrsearch.integrations.optuna import best_schedule
    from lrsearch.search import ScheduleSpace
    from lrsearch.sweeps import _trial as local_trial
    from lrsearch.sweeps import leaderboard, sweep
    from lrsearch.tasks import digits
    from lrsearch.training import train

    clock, task, space = Clock(), digits(), ScheduleSpace(budget=BUDGET)
    before = common.load()
    with tempfile.TemporaryDirectory(prefix="rs-") as scratch:
        stamps = str(Path(scratch) / "stamps")
        os.environ["RAY_TMPDIR"] = scratch  # or it would join a cluster that a neighbour started
        options: dict[str, Any] = {
            "storage": f"sqlite:///{scratch}/study.db",
            "trials": TRIALS,
            "seed": seed,
            "listener": clock,
        }
        if side != "local":
            import ray

            from lrsearch.integrations.ray import _task as ray_trial
            from lrsearch.sweeps.ray import Cluster, ray_sweep
            from lrsearch.sweeps.ray import _sweep as inner

            inner.tuner = _reusing(inner.tuner, side == "reuse")

            for module, name in ((ray, "init"), (ray, "shutdown")):
                setattr(module, name, _marked(getattr(module, name), clock, name))
            ray_trial.train = stamped(train, stamps)  # travels to the workers by value
            clock.mark("sweep")
            result = ray_sweep(task, space, Cluster(workers=WORKERS), **options)
        else:
            local_trial.train = stamped(train, stamps)
            clock.mark("sweep")
            result = sweep(task, space, **options)
        clock.mark("done")
        runs = [json.loads(line) for line in Path(stamps).read_text().splitlines()]
        table = leaderboard(result.study)
        best = best_schedule(result.study)
        study = result.study
        states = [t.state.name for t in study.get_trials(deepcopy=False)]
    metric = float(table["metric"].iloc[0])
    plain = {"family": best.family, "peak": best.peak, "parameters": dict(best.parameters)}
    fresh = [train(task, best, seed=s, share=None).metric for s in FRESH]
    return {
        "side": side,
        "seed": seed,
        "load": [before, common.load()],
        "metric": metric,
        "fresh": [v if math.isfinite(v) else None for v in fresh],
        "best": plain,
        "states": states,
        "cost_trials": float(table["cost"].sum()),
        "cost_edge": result.edge.cost / BUDGET,
        "edge": result.edge.learning_rate,
        "events": [[what, round(at, 4)] for what, at in clock.events],
        "runs": [
            {
                "pid": r["pid"],
                "begun": round(r["begun"] - ORIGIN, 4),
                "ended": round(r["ended"] - ORIGIN, 4),
                "cpu": round(r["cpu"], 4),
            }
            for r in sorted(runs, key=lambda r: float(r["begun"]))
        ],
        "environment": common.environment(),
    }


def _reusing(tuner: Callable[..., Any], reuse: bool) -> Callable[..., Any]:
    def with_reuse(*args: Any, tune_config: Any, **kwargs: Any) -> Any:
        return tuner(*args, tune_config=replace(tune_config, reuse_actors=reuse), **kwargs)

    return with_reuse


def _marked(function: Callable[..., Any], clock: Clock, name: str) -> Callable[..., Any]:
    def marked(*args: Any, **kwargs: Any) -> Any:
        clock.mark(f"{name} begins")
        try:
            return function(*args, **kwargs)
        finally:
            clock.mark(f"{name} ends")

    return marked


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        side, seed = sys.argv[2], int(sys.argv[3])
        common.write(f"quality-{side}-{seed}", one(side, seed))
        return
    for seed in range(SEEDS):
        sides = [side for side, seeds in SIDES.items() if seed < seeds]
        for turn in range(len(sides)):  # who goes first alternates with the seed
            side = sides[(turn + seed) % len(sides)]
            if common.read(f"quality-{side}-{seed}") is not None:
                continue
            order = [sys.executable, __file__, "--one", side, str(seed)]
            done = subprocess.run(order, env=os.environ | common.QUIET)
            print(f"{side} {seed}: {'done' if done.returncode == 0 else 'FAILED'}", flush=True)


if __name__ == "__main__":
    main()
