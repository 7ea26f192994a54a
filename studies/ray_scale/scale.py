"""One arm: a thousand short trials on four nodes, with timers around searcher and scheduler.

    python studies/ray_scale/run.py                      # calls this for every arm, in turn
    python studies/ray_scale/scale.py ARM ADDRESS TRIALS NAME SLOT READY

A process of its own is the driver, so that its memory is the arm's. It has one slot on every node,
and begins once the file READY is there.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search import BasicVariantGenerator, Searcher
from ray.tune.search.optuna import OptunaSearch

sys.path.insert(0, str(Path(__file__).parent))
import clocks
import common
import synthetic
from synthetic import METRIC, MODE, RESULTS

from lrsearch.ray import EdgeSearcher, StabilityTrialScheduler, param_space
from lrsearch.search import ScheduleSpace
from lrsearch.sweeps import open_storage

# Under "whole" ASHA has one rung, at the end: every trial reports all results, as under ours.
# Under "cut" it stops trials as it is meant to; ours wraps the same ASHA there.
ARMS = {
    "ours journal": "EdgeSearcher + StabilityTrialScheduler, study in a journal file",
    "ours sqlite": "the same, study in a SQLite file",
    "random whole": "Ray's random search + ASHA, no trial stopped",
    "ours memory": "as above, study in the driver",
    "optuna whole": "Ray's OptunaSearch + ASHA, no trial stopped",
    "random cut": "Ray's random search + ASHA as it is used",
    "ours cut": "EdgeSearcher + StabilityTrialScheduler around ASHA as it is used",
}
CALLS: clocks.Calls = {}


def asha(whole: bool) -> ASHAScheduler:
    return ASHAScheduler(max_t=RESULTS, grace_period=RESULTS if whole else 1, reduction_factor=4)


def parts(arm: str, folder: Path) -> tuple[Any, TrialScheduler, dict[str, Any]]:
    """Searcher, trial scheduler and param_space of an arm, with timers around them."""
    space = ScheduleSpace(budget=synthetic.BUDGET)
    who, how = arm.split()
    if who == "random":
        clocks.timed(BasicVariantGenerator, "next_trial", CALLS, "suggest")
        clocks.timed(BasicVariantGenerator, "on_trial_complete", CALLS, "searcher complete")
        clocks.timed(BasicVariantGenerator, "save_to_dir", CALLS, "searcher save")
        found: Any = BasicVariantGenerator(random_state=1)
        scheduler: TrialScheduler = asha(how == "whole")
    elif who == "optuna":
        found = OptunaSearch(metric=METRIC, mode=MODE, seed=1)
        scheduler = asha(how == "whole")
    else:
        url = {"sqlite": f"sqlite:///{folder}/s.db", "journal": f"journal:///{folder}/s.log"}
        storage = open_storage(url[how], create=True) if how in url else None
        found = EdgeSearcher(
            space, metric=METRIC, mode=MODE, edge=synthetic.EDGE, storage=storage, seed=1
        )
        scheduler = StabilityTrialScheduler(asha(False) if how == "cut" else None)
    if isinstance(found, Searcher):
        for name, label in (
            ("suggest", "suggest"),
            ("on_trial_result", "searcher result"),
            ("on_trial_complete", "searcher complete"),
            ("save", "searcher save"),
        ):
            clocks.timed(type(found), name, CALLS, label)
    clocks.timed(type(scheduler), "on_trial_result", CALLS, "scheduler result")
    clocks.timed(type(scheduler), "choose_trial_to_run", CALLS, "scheduler choose")
    return found, scheduler, {} if who == "ours" else param_space(space)


class Ends(tune.Callback):
    """Notes when trials end."""

    ended: list[float] = []  # noqa: RUF012  # of the process: Tune pickles callbacks
    results = 0

    def on_trial_result(self, **info: Any) -> None:
        Ends.results += 1

    def on_trial_complete(self, **info: Any) -> None:
        Ends.ended.append(time.perf_counter())
        if len(Ends.ended) % 100 == 0:
            print(f"{sys.argv[1]}: {len(Ends.ended)} trials", flush=True)

    def on_trial_error(self, **info: Any) -> None:
        raise RuntimeError("a trial failed: this arm measures nothing")


def snapshots(folder: Path, found: list[dict[str, Any]]) -> None:
    """Note time and size of every snapshot of the experiment."""
    original = TuneController.save_to_dir

    def measured(self: TuneController) -> None:
        begun = time.perf_counter()
        original(self)
        spent = time.perf_counter() - begun
        held = clocks.sizes(Path(self._storage.experiment_driver_staging_path))
        found.append({"trials": len(Ends.ended), "ms": round(1e3 * spent, 3), "bytes": held})

    TuneController.save_to_dir = measured


def run(arm: str, address: str, trials: int, slot: str, ready: Path) -> dict[str, Any]:
    """The arm's record."""
    cloudpickle.register_pickle_by_value(synthetic)
    ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    before = common.load()
    with tempfile.TemporaryDirectory(prefix="ray-scale-") as scratch:
        folder, saved = Path(scratch), []
        searcher, scheduler, config = parts(arm, folder)
        snapshots(folder, saved)
        clocks.timed(TuneController, "_process_trial_result", CALLS, "controller result")
        tuner = tune.Tuner(
            tune.with_resources(synthetic.train, {"cpu": 1, slot: 1}),
            param_space=config,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=trials,
                reuse_actors=True,
                metric=METRIC,
                mode=MODE,
                trial_dirname_creator=lambda trial: f"trial_{trial.trial_id}",
            ),
            run_config=tune.RunConfig(storage_path=scratch, callbacks=[Ends()], verbose=0),
        )
        memory = clocks.Memory(lambda: len(Ends.ended))
        nodes = sum(node["Alive"] for node in ray.nodes())
        ready.with_name(slot).touch()
        while not ready.exists():
            time.sleep(0.05)
        at, begun, cpu = time.time(), time.perf_counter(), time.process_time()
        tuner.fit()
        ended, spent = time.perf_counter(), time.process_time() - cpu
        resident = memory.stop()
        on_disk = sum(p.stat().st_size for p in folder.glob("s.*"))
    ray.shutdown()
    if len(Ends.ended) != trials:
        raise RuntimeError(f"{len(Ends.ended)} of {trials} trials ended")
    return {
        "arm": arm,
        "nodes": nodes,
        "load": [before, common.load()],
        "trials": trials,
        "results": Ends.results,
        "begun_at": at,
        "fit_s": ended - begun,
        "driver_cpu_s": spent,
        "ended_s": [round(at - begun, 4) for at in Ends.ended],
        "calls": clocks.summary(CALLS),
        "suggest_ms": clocks.milliseconds(CALLS, "suggest"),
        "memory": resident,
        "snapshots": saved,
        "storage_bytes": on_disk,
        "environment": common.environment(),
    }


if __name__ == "__main__":
    arm, address, trials, name, slot, ready = sys.argv[1:]
    common.write(name, run(arm, address, int(trials), slot, Path(ready)))
