"""Suggestion latency up to 10,000 trials: the searcher called as Tune calls it, without Ray.

    python studies/ray_scale/direct.py [KIND] [TRIALS]

Four trials are open at a time. Every trial brings its readings, as `synthetic.train` reports them.
Only the last hundred trials before each point are asked for; the study is filled up to there with
copies of those that it has, at other multipliers, which is what a searcher sees of a past.
"""

import copy
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import clocks
import common
import optuna
import synthetic
from ray.tune.search.optuna import OptunaSearch
from sqlalchemy import event
from synthetic import BUDGET, METRIC, MODE, RESULTS

from lrsearch.ray import EdgeSearcher, param_space
from lrsearch.search import ScheduleSpace
from lrsearch.sweeps import open_storage

AT = (100, 200, 500, 1_000, 2_000, 5_000, 10_000)
KINDS = ("memory", "journal", "sqlite", "wal", "optuna")
OPEN, WINDOW, ASKED = 4, 50, 100


def write_ahead(storage: Any) -> None:
    """SQLite with a write-ahead log: a commit waits for no disk, and survives a killed process."""

    def set_up(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(storage.engine, "connect", set_up)
    storage.engine.dispose()  # connections made before


def searcher_of(kind: str, folder: Path) -> Any:
    space = ScheduleSpace(budget=BUDGET)
    if kind == "optuna":
        found = OptunaSearch(metric=METRIC, mode=MODE, seed=1)
        found.set_search_properties(METRIC, MODE, param_space(space))
        return found
    url = {"sqlite": f"sqlite:///{folder}/s.db", "journal": f"journal:///{folder}/s.log"}
    url["wal"] = url["sqlite"]
    storage = open_storage(url[kind], create=True) if kind in url else None
    if kind == "wal":
        write_ahead(storage)
    return EdgeSearcher(
        space, metric=METRIC, mode=MODE, edge=synthetic.EDGE, storage=storage, seed=1
    )


def results(multiplier: float) -> list[dict[str, Any]]:
    """What the trial reports, as Tune hands it on."""
    found = []
    for turn in range(1, RESULTS + 1):
        step = BUDGET * turn // RESULTS
        pairs = [(f"lrsearch:reading:{step:010d}", synthetic.reading_at(multiplier, step))]
        found.append(
            {
                METRIC: synthetic.loss_at(multiplier, step / BUDGET),
                "training_iteration": turn,
                "lrsearch_step": step,
                "lrsearch": tuple(pairs),
            }
        )
    return found


def fill(searcher: Any, until: int) -> None:
    """Copies of the study's trials at other multipliers, until it has so many."""
    study = getattr(searcher, "study", None) or searcher._ot_study
    ended = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))[-ASKED:]
    rng = np.random.default_rng(until)
    copies = []
    for number in range(len(study.get_trials(deepcopy=False)), until):
        copied = copy.deepcopy(ended[number % len(ended)])
        multiplier = float(np.clip(1.3 * 2 ** (0.5 * rng.standard_normal()), 0.2, 7.0))
        copied.params = copied.params | {"edge_multiplier": multiplier}
        copied.values = [synthetic.loss_at(multiplier, 1.0)]
        copies.append(copied)
    study.add_trials(copies)


def run(kind: str, trials: int) -> dict[str, Any]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spent: dict[str, list[tuple[float, float]]] = {"suggest": [], "result": [], "complete": []}
    points = []

    def clocked(what: str, function: Any, *args: Any, **kwargs: Any) -> Any:
        begun, cpu = time.perf_counter(), time.thread_time()
        answer = function(*args, **kwargs)
        busy = time.thread_time() - cpu
        spent[what].append((1e3 * (time.perf_counter() - begun), 1e3 * busy))
        return answer

    with tempfile.TemporaryDirectory(prefix="rs-") as scratch:
        searcher, open_trials = searcher_of(kind, Path(scratch)), {}
        for number in range(trials):
            if any(number == at - ASKED > 0 for at in AT) and number not in AT:
                fill(searcher, number)
            elif not any(at - ASKED <= number < at for at in AT):
                continue
            name = f"{number:08x}"
            open_trials[name] = clocked("suggest", searcher.suggest, name)["edge_multiplier"]
            if len(open_trials) == OPEN:
                oldest = next(iter(open_trials))
                reported = results(open_trials.pop(oldest))
                for result in reported:
                    clocked("result", searcher.on_trial_result, oldest, result)
                clocked("complete", searcher.on_trial_complete, oldest, reported[-1])
            if number + 1 in AT:
                begun = time.perf_counter()
                searcher.save(f"{scratch}/saved")
                saving = time.perf_counter() - begun
                point = {"trials": number + 1, "save_ms": round(1e3 * saving, 2)}
                point["save_bytes"] = (Path(scratch) / "saved").stat().st_size
                point["resident_mib"] = clocks.resident()
                point["storage_bytes"] = sum(p.stat().st_size for p in Path(scratch).glob("s.*"))
                for what, seen in spent.items():
                    last = np.array(seen[-(WINDOW * (RESULTS if what == "result" else 1)) :])
                    point[f"{what}_ms"] = round(float(np.median(last[:, 0])), 4)
                    point[f"{what}_cpu_ms"] = round(float(np.median(last[:, 1])), 4)
                points.append(point)
                print(kind, point, flush=True)
    return {"kind": kind, "points": points, "load": common.load(), "open": OPEN}


def main() -> None:
    if len(sys.argv) == 1:  # a process each, for its memory
        for kind in KINDS:
            subprocess.run([sys.executable, __file__, kind], env=os.environ | common.QUIET)
        return
    kind, trials = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else AT[-1]
    if common.read(f"direct-{kind}") is None:
        record = run(kind, trials) | {"environment": common.environment()}
        common.write(f"direct-{kind}", record)


if __name__ == "__main__":
    main()
