"""What a suggestion of our own sampler costs in a long study, beside TPE's.

    python asking.py      # raw/asking.json

Medians over suggestions, in one process, of a study in memory with 10,000 finished trials: the
engine with its reading of the study's trials, the whole `study.ask` with all of a trial's own
suggestions, and the same of TPE. Milliseconds are processor time of one machine; the ratio is what
carries over.
"""

import os
import platform
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
import raw

from lrsearch import EdgeSampler, ScheduleSpace

TRIALS, ASKED, BUDGET = 10_000, 31, 1_000
PATH = raw.RAW / "asking.json"


def long_study(sampler: optuna.samplers.BaseSampler, space: ScheduleSpace) -> optuna.Study:
    """A study whose trials ended anywhere, a sixth of them stopped."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    rng = np.random.default_rng(0)
    for number in range(TRIALS):
        trial = study.ask()
        space.suggest(trial, 0.1)
        state = optuna.trial.TrialState
        if number % 6 == 5:
            study.tell(trial, state=state.PRUNED)
        else:
            study.tell(trial, float(rng.lognormal()))
    study.sampler = sampler
    return study


def milliseconds(call: Callable[[], Any]) -> float:
    """Median processor time of a call, the first one left out: it reads all trials once."""
    times = []
    for _ in range(ASKED + 1):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    return round(1e3 * float(np.median(times[1:])), 2)


def measured() -> dict[str, Any]:
    space = ScheduleSpace(BUDGET)
    ours = EdgeSampler(space, seed=0)
    study = long_study(ours, space)

    def own() -> None:
        number = len(study.get_trials(deepcopy=False))
        ours._engine.ask(number, ours._records(study, number))

    def whole() -> None:
        trial = study.ask()
        space.suggest(trial, 0.1)
        study.tell(trial, 0.5)

    found = {"own part": milliseconds(own), "ours, whole": milliseconds(whole)}
    study.sampler = optuna.samplers.TPESampler(seed=0)
    return found | {"tpe, whole": milliseconds(whole)}


def main() -> None:
    document = {
        "trials": TRIALS,
        "milliseconds": measured(),
        "python": platform.python_version(),
        "optuna": optuna.__version__,
        "numpy": np.__version__,
        "processor": platform.processor() or platform.machine(),
    }
    raw.save(PATH, document)
    print(document)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main()
