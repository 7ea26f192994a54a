"""Tune experiments, one after another, until a study is as large as it was asked for.

One is enough, unless Tune itself gives up: Ray's memory monitor, for one, may end a process while
Tune starts it, which Tune 2.60 takes for an error of its own and ends the whole experiment.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import optuna
from optuna.trial import TrialState
from ray import tune
from ray.exceptions import RayError
from ray.tune import TuneError

from lrsearch.exceptions import LrsearchError
from lrsearch.integrations.optuna import ERROR_KEY, TUNE_KEY
from lrsearch.integrations.ray import EdgeSearcher
from lrsearch.sweeps._attempts import cause_of_death
from lrsearch.sweeps._events import Listener

GIVE_UP = 4  # experiments in a row that Tune gave up without a trial's end

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the study has it all
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def run_experiments(
    searcher: EdgeSearcher,
    trials: int,
    make: Callable[[int], tune.Tuner],
    listener: Listener,
    interrupted: Callable[[], bool],
) -> None:
    """Run Tune until the searcher's study has so many trials.

    Args:
        searcher: What remembers, and hands open trials out again.
        trials: How many trials the study is to have.
        make: Makes a Tuner for so many trials more.
        listener: Told where Tune gave up.
        interrupted: Once true no other experiment begins.

    Raises:
        LrsearchError: If Tune gives up again and again.
    """
    study, given_up = searcher.study, 0
    while not interrupted():
        end_deadly(study, searcher.experiment)
        searcher.begin_anew()
        seen = study.get_trials(deepcopy=False)
        # Those that run and are not ours belong to workers without Ray.
        taken = sum(t.state != TrialState.WAITING for t in seen) - searcher.orphans
        if taken >= trials:
            return
        before = _ended(study)
        try:
            with _quiet():
                make(trials - taken).fit()
            return
        except (RuntimeError, TuneError, RayError) as error:
            given_up = 1 if _ended(study) > before else given_up + 1
            reason = str(error).strip().splitlines()[0]
            if given_up >= GIVE_UP:
                raise LrsearchError(
                    f"Ray Tune gave up {given_up} times without a trial's end: {reason}. The same "
                    "command goes on from the last checkpoints."
                ) from error
            listener.note(f"Ray Tune gave up ({reason}): another experiment goes on")


def end_deadly(study: optuna.Study, experiment: str) -> None:
    """End the open trials of an experiment whose process dies each time."""
    for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if frozen.user_attrs.get(TUNE_KEY, {}).get("experiment") != experiment:
            continue
        if (reason := cause_of_death(frozen.user_attrs, 0)) is not None:
            trial = optuna.Trial(study, frozen._trial_id)
            trial.set_user_attr(ERROR_KEY, reason)
            study.tell(trial, state=TrialState.FAIL)


def _ended(study: optuna.Study) -> int:
    return sum(t.state.is_finished() for t in study.get_trials(deepcopy=False))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Tune's own log files, output and handler of Ctrl-C: the sweep has its own."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
