"""`EdgeSearcher`: the engine as a searcher of Ray Tune, with an Optuna study for its memory."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState
from ray.tune.search import Searcher
from ray.tune.utils.util import unflatten_dict

from lrsearch.exceptions import UnsupportedError
from lrsearch.integrations.optuna import EdgeSampler
from lrsearch.integrations.optuna._attributes import (
    EDGE_PREFIX,
    ERROR_KEY,
    SEED_KEY,
    TUNE_KEY,
    VERDICT_KEY,
    readings_of,
    verdict_of,
)
from lrsearch.integrations.ray._board import open_board
from lrsearch.integrations.ray._outcome import Outcome, by_itself, outcome_of
from lrsearch.integrations.ray._record import CHECKPOINT_KEY, CONFIG_KEY, pairs_of
from lrsearch.integrations.ray._space import Distributions, distributions_of
from lrsearch.integrations.ray._strict import accept_results_without_metric
from lrsearch.integrations.ray._study import best_value, open_study, record
from lrsearch.search import PLAN_KEY, RATE_KEY, ScheduleSpace, trial_seed
from lrsearch.stability import Edge, Reading, Verdict

logger = logging.getLogger("lrsearch")


class EdgeSearcher(Searcher):  # type: ignore[misc]  # Ray's base is untyped
    """Suggests schedule family, shape and edge multiplier; remembers everything in a study.

    Other parameters of Tune's ``param_space`` are suggested beside ours by an Optuna sampler. Works
    under any trial scheduler of Tune: a trial that it stops is recorded as pruned, with its step.
    The study holds what an Optuna study of lrsearch holds, so `lrsearch show` and `export`,
    `best_schedule` and optuna-dashboard read it.

    Args:
        space: The schedule space.
        metric: Name of the metric that the training function reports.
        mode: "min" or "max". Both are needed here: Tune does not pass its own to a searcher where
            ``param_space`` is empty.
        edge: The edge, where one holds for all trials; else the training function measures it.
        study: An Optuna study to remember in; its sampler is replaced.
        storage: Where to make one, as Optuna takes it; by default it lives in this process and in
            Tune's own snapshots.
        study_name: Its name.
        sampler: Optuna's sampler for the other parameters; TPE by default.
        seed: Seed of everything; each trial's own is in its config.

    Raises:
        UnsupportedError: For several metrics.
        SpaceMismatchError: If the study was begun with another space (at the first suggestion).
    """

    def __init__(
        self,
        space: ScheduleSpace,
        *,
        metric: str,
        mode: str = "min",
        edge: Edge | float | None = None,
        study: optuna.Study | None = None,
        storage: str | BaseStorage | None = None,
        study_name: str | None = None,
        sampler: optuna.samplers.BaseSampler | None = None,
        seed: int | None = None,
    ) -> None:
        if not isinstance(metric, str) or mode not in ("min", "max"):
            raise UnsupportedError(
                f"EdgeSearcher takes one metric and mode 'min' or 'max', got {metric!r} and "
                f"{mode!r}: for several objectives use an Optuna study."
            )
        super().__init__(metric=metric, mode=mode)
        accept_results_without_metric()
        self.space = space
        self.edge = edge if edge is None or isinstance(edge, Edge) else Edge.known(edge)
        self.seed = seed
        self.study = study if study is not None else open_study(storage, study_name, mode)
        self.study.sampler = EdgeSampler(space, sampler=sampler, seed=seed)
        self.experiment = uuid4().hex
        self.known: set[str] = set()  # Tune's trials that its last snapshot knows
        self.finished_when: Callable[[], bool] = _never
        self._others: Distributions = {}
        self._reset()

    def _reset(self) -> None:
        self._open: dict[str, optuna.Trial] = {}
        self._iterations: dict[str, Any] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._failures: dict[str, str] = {}
        self._orphans: list[optuna.Trial] = []
        self._board: Any = None
        self._best = best_value(self.study)

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take Tune's ``param_space``; False if its metric or mode contradict ours."""
        if metric not in (None, self.metric) or mode not in (None, self._mode):
            return False
        self._others = distributions_of(config, self.space)
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next point; first those of trials that a dead driver began and Tune never saw."""
        if self._orphans:
            trial = self._orphans.pop(0)
            logger.info("trial %d goes on: an earlier driver began it", trial.number)
        elif self.finished_when():
            return str(Searcher.FINISHED)
        else:
            trial = self.study.ask(fixed_distributions=self._others)
            self._refuse_rate(trial)
        trial.set_user_attr(TUNE_KEY, {"experiment": self.experiment, "trial": trial_id})
        self.known.add(trial_id)
        self._open[trial_id] = trial
        own: dict[str, Any] = {
            "number": trial.number,
            "id": trial._trial_id,
            "budget": self.space.budget,
            "best": self._best,
            "rate": trial.user_attrs.get(RATE_KEY),
            "checkpoint": trial.user_attrs.get(CHECKPOINT_KEY),
        }
        if self.seed is not None:
            own["seed"] = trial_seed(self.seed, trial.number)
            trial.set_user_attr(SEED_KEY, own["seed"])
        if self.edge is None:
            own |= {"board": self._open_board(), "edge_seed": self.seed}
            self.space.sample(trial)
        else:
            self.space.suggest(trial, self.edge)
            own["plan"] = trial.user_attrs[PLAN_KEY]
            own["edge"] = replace(self.edge, trace=()).to_dict()
        own = {name: value for name, value in own.items() if value is not None}
        config: dict[str, Any] = unflatten_dict(dict(trial.params))
        return config | {CONFIG_KEY: own}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record what a result brings, once."""
        self._iterations[trial_id] = result.get("training_iteration")
        self._record(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record how a trial ended: complete, pruned with step and reason, or failed."""
        self._record(trial_id, result)
        trial = self._open.pop(trial_id, None)
        verdict, failure = self._verdicts.pop(trial_id, None), self._failures.pop(trial_id, None)
        seen = self._iterations.pop(trial_id, None)
        if trial is None:  # ended before a driver died, or not ours
            return
        outcome = outcome_of(
            result,
            trial.user_attrs,
            metric=self.metric,
            error=error,
            by_itself=by_itself(result, seen),
            verdict=verdict,
            failure=failure,
        )
        with suppress(UpdateFinishedTrialError):  # as in `_record`
            self._tell(trial, outcome)

    def stopping(self, trial_id: str, verdict: Verdict) -> None:
        """Told by `StabilityTrialScheduler` why it is about to stop a trial."""
        self._verdicts[trial_id] = verdict

    def failing(self, trial_id: str, reason: str) -> None:
        """Told by `StabilityTrialScheduler` why a trial is about to be given up."""
        self._failures[trial_id] = reason

    def readings(self, trial_id: str) -> list[Reading]:
        """What the study knows of an open trial, also from before this driver."""
        return readings_of(self._open[trial_id].user_attrs) if trial_id in self._open else []

    def save(self, checkpoint_path: str) -> None:
        """Write what Tune's snapshot has to hold: with a storage, only which trials Tune knows."""
        memory = isinstance(self.study._storage, InMemoryStorage)
        state = {
            "experiment": self.experiment,
            "known": self.known,
            "others": self._others,
            "sampler": self.study.sampler,  # or it would draw its first values once more
            "study": self.study if memory else None,
        }
        Path(checkpoint_path).write_bytes(pickle.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """Go on where `save` was called; what a storage has learnt since then is kept.

        Trials that were begun after Tune's last snapshot are handed out again, under their numbers.
        """
        state = pickle.loads(Path(checkpoint_path).read_bytes())  # our own file, as Tune's all are
        self.experiment, self.known = state["experiment"], state["known"]
        self._others = state["others"]
        if state["study"] is not None:
            self.study = state["study"]
        self.study.sampler = state["sampler"]
        self.adopt()
        if self.edge is None and self._open:
            self._open_board()  # their configs name it

    @property
    def orphans(self) -> int:
        """Number of open trials that wait to be handed out again."""
        return len(self._orphans)

    def begin_anew(self) -> None:
        """Serve another Tune experiment: all that is open is handed out again."""
        self.known = set()
        self.adopt()

    def adopt(self) -> None:
        """Take up the study's open trials of this experiment."""
        self._reset()
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for frozen in running:
            mine = frozen.user_attrs.get(TUNE_KEY, {})
            if mine.get("experiment") != self.experiment:
                continue
            trial = optuna.Trial(self.study, frozen._trial_id)
            if mine["trial"] in self.known:
                self._open[mine["trial"]] = trial
            else:
                self._orphans.append(trial)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what belongs to this process."""
        state = self.__dict__ | {"finished_when": _never, "_board": None}
        for name in ("_open", "_iterations", "_verdicts", "_failures", "_orphans"):
            state[name] = type(state[name])()
        return state

    def _edges(self) -> dict[str, Any]:
        """The edges that the study knows."""
        return {n: e for n, e in self.study.user_attrs.items() if n.startswith(EDGE_PREFIX)}

    def _refuse_rate(self, trial: optuna.Trial) -> None:
        if self.edge is None and RATE_KEY in trial.user_attrs:
            self.study.tell(trial, state=TrialState.FAIL)
            raise UnsupportedError(
                f"learning rate {trial.user_attrs[RATE_KEY]} was enqueued, and its multiplier "
                "cannot be told before the edge is known: give EdgeSearcher edge=."
            )

    def _open_board(self) -> str:
        """Name of the actor by which the workers share what they measure."""
        name = f"lrsearch-edges-{self.experiment}"
        if self._board is None:
            self._board = open_board(name, self._edges())
        return name

    def _record(self, trial_id: str, result: Mapping[str, Any] | None) -> None:
        trial = self._open.get(trial_id)
        if trial is None:
            return
        try:
            record(self.study, trial, pairs_of(result))
        except UpdateFinishedTrialError:  # ended before a driver died: Tune trains its rest again
            logger.info("trial %d has ended already; its result stands", trial.number)
            del self._open[trial_id]

    def _tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        if outcome.verdict is not None and verdict_of(trial.user_attrs) is None:
            trial.set_user_attr(VERDICT_KEY, outcome.verdict.to_dict())
        if outcome.failure is not None and ERROR_KEY not in trial.user_attrs:
            trial.set_user_attr(ERROR_KEY, outcome.failure)
        self.study.tell(trial, outcome.value, state=outcome.state, skip_if_finished=True)
        if outcome.value is not None:
            known = outcome.value if self._best is None else self._best
            self._best = (min if self._mode == "min" else max)(outcome.value, known)


def _never() -> bool:
    return False
