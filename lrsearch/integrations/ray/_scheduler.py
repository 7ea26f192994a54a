"""`StabilityTrialScheduler`: the one `decide` as a trial scheduler of Ray Tune."""

from __future__ import annotations

import logging
import math
import time
from numbers import Real
from typing import Any

import ray
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)
from ray.tune.utils import flatten_dict

from lrsearch.integrations.ray._ending import inner_with
from lrsearch.integrations.ray._history import (
    decided_before,
    forget_lost_checkpoint,
    results_of,
)
from lrsearch.integrations.ray._peers import Peers
from lrsearch.integrations.ray._record import pairs_of, plan_in, readings_in, step_of
from lrsearch.integrations.ray._strict import accept_results_without_metric
from lrsearch.search import Plan, decide
from lrsearch.stability import Reading, Verdict

logger = logging.getLogger("lrsearch")

# Answering a result is all that these do. Others (HyperBand, PBT) act on the running trials while
# they do so, and are not to be told of results a second time.
ANSWERING = (AsyncHyperBandScheduler, MedianStoppingRule)


class StabilityTrialScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray's base is untyped
    """Stops runs that diverged, are dead, train far below the edge of stability, or are behind.

    It judges a run by its own readings (from `lrsearch.ray.watch`), so it needs no other trial, no
    metric, and works under any searcher. Where the watch has a ``validation_loss``, a run is also
    compared with the best one, once three have ended, both as if they were annealed. A metric that
    is not finite stops a trial in any case.

    After `Tuner.restore`, where Tune gives its trial schedulers nothing back, it reads what
    restored trials had reported and tells a wrapped ASHA or median stopping rule of it too, so that
    ASHA keeps its rungs. (Alone it begins with empty ones. With several brackets it draws a trial's
    bracket anew. Others, such as HyperBand and PBT, begin anew, as they do in Tune alone.) A trial
    that was about to be stopped when the last driver died stays stopped where it was.

    Args:
        wrapped: Another trial scheduler, such as `ASHAScheduler`, that may stop or pause as well.
        patience: Seconds without a result after which a running trial is taken for hung: its
            process is killed, and Tune starts it again from its last checkpoint as often as
            `FailureConfig` allows. ``None`` waits for ever.
    """

    _supports_buffered_results = False

    def __init__(
        self, wrapped: TrialScheduler | None = None, *, patience: float | None = None
    ) -> None:
        super().__init__()
        accept_results_without_metric()
        self._metric: str | None = None
        self._mode: str | None = None
        self.wrapped = wrapped
        self.patience = patience
        self._readings: dict[str, list[Reading]] = {}
        self._plans: dict[str, Plan] = {}
        self._heard: dict[str, float] = {}
        self._added: set[str] = set()
        self._peers = Peers()
        self.stopped = 0

    @property
    def metric(self) -> str | None:
        """Name of the metric, for Tune."""
        name: str | None = self._metric if self.wrapped is None else self.wrapped.metric
        return name

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take Tune's metric and mode."""
        self._metric, self._mode = metric or self._metric, mode or self._mode
        return self.wrapped is None or bool(
            self.wrapped.set_search_properties(metric, mode, **spec)
        )

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Begin with a trial; of a restored one, learn what it had reported."""
        # One whose process died is added once more, and the wrapped one knows it.
        restored = trial.trial_id not in self._added
        self._added.add(trial.trial_id)
        if restored:
            forget_lost_checkpoint(trial)
        if self.wrapped is not None:
            self.wrapped.on_trial_add(tune_controller, trial)
        for result in results_of(trial):
            self._learn(trial, result)
            if restored and isinstance(self.wrapped, ANSWERING):
                self.wrapped.on_trial_result(tune_controller, trial, result)
        kept = _searcher_with(tune_controller, "readings")
        if kept is not None:  # its study knows more than Tune's files
            known = {r.step: r for r in self._readings.get(trial.trial_id, [])}
            known |= {r.step: r for r in kept.readings(trial.trial_id)}
            self._readings[trial.trial_id] = [known[step] for step in sorted(known)]
        if restored and decided_before(tune_controller, trial) == TrialScheduler.STOP:
            self._end_as_decided(tune_controller, trial)
        if trial.is_finished():
            self._remember(trial, trial.last_result or {})
            if self.wrapped is not None and trial.last_result:
                self.wrapped.on_trial_complete(tune_controller, trial, trial.last_result)
            self._forget(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Stop a run by `decide`, or leave it to the wrapped trial scheduler."""
        self._learn(trial, result)
        verdict = self._judge(trial, result)
        if verdict.stop:
            self.stopped += 1
            self._peers.stopped(verdict)
            logger.info("trial %s stopped: %s", trial.trial_id, verdict.reason)
            _tell(tune_controller, "stopping", trial, verdict)
            return str(TrialScheduler.STOP)
        action = TrialScheduler.CONTINUE
        if self.wrapped is not None:
            action = self.wrapped.on_trial_result(tune_controller, trial, result)
        if self.metric is not None:
            # This copy goes to the searcher, and Tune's OptunaSearch raises where it has none.
            result.setdefault(self.metric, math.nan)
        return str(action)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Remember how the trial did, and forget the rest of its readings."""
        if self.wrapped is not None:
            self.wrapped.on_trial_complete(tune_controller, trial, result)
        self._remember(trial, result)
        self._forget(trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Tell our searcher why the trial is given up."""
        if self.wrapped is not None:
            self.wrapped.on_trial_error(tune_controller, trial)
        _tell(tune_controller, "failing", trial, _reason(trial))
        self._forget(trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Forget the trial's readings."""
        if self.wrapped is not None:
            self.wrapped.on_trial_remove(tune_controller, trial)
        self._forget(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The next trial in line; on the way, look for hung ones."""
        if self.patience is not None:
            self._end_hung(tune_controller)
        if self.wrapped is not None:
            return self.wrapped.choose_trial_to_run(tune_controller)
        return super().choose_trial_to_run(tune_controller)

    def debug_string(self) -> str:
        """One line for Tune's status."""
        inner = "" if self.wrapped is None else f"; {self.wrapped.debug_string()}"
        return f"StabilityTrialScheduler: stopped {self.stopped}{inner}"

    def _learn(self, trial: Trial, result: dict[str, Any]) -> None:
        self._heard[trial.trial_id] = time.monotonic()
        pairs = pairs_of(result)
        plan = plan_in(pairs)
        if plan is not None:
            self._plans[trial.trial_id] = plan
        for reading in readings_in(pairs):
            before = self._readings.get(trial.trial_id, [])
            # Later ones are of an attempt that died further on than this one has come.
            kept = [r for r in before if r.step < reading.step]
            self._readings[trial.trial_id] = [*kept, reading]

    def _judge(self, trial: Trial, result: dict[str, Any]) -> Verdict:
        value = result.get(self.metric) if self.metric else None
        if isinstance(value, Real) and not math.isfinite(value):
            readings = self._readings.get(trial.trial_id, [])
            step = step_of(result) or (readings[-1].step if readings else 0)
            reason = f"diverged: {self.metric} is {value} at step {step}"
            return Verdict(stop=True, regime="diverged", side="hot", step=step, reason=reason)
        if not pairs_of(result):
            return Verdict()
        plan = self._plans.get(trial.trial_id) or _planned(trial)
        return decide(self._readings.get(trial.trial_id, []), self._peers.known(), plan)

    def _end_as_decided(self, tune_controller: Any, trial: Trial) -> None:
        """End a restored trial at the result on which it was stopped; nothing runs again."""
        result = flatten_dict(trial.last_result or {})
        if trial.is_finished() or "training_iteration" not in result:
            return
        verdict = self._judge(trial, result)
        if verdict.stop:
            _tell(tune_controller, "stopping", trial, verdict)
        trial.set_status(Trial.TERMINATED)
        tune_controller.get_live_trials().discard(trial)
        tune_controller.search_alg.on_trial_complete(trial.trial_id, result=result)

    def _end_hung(self, tune_controller: Any) -> None:
        assert self.patience is not None
        now = time.monotonic()
        for trial in tune_controller.get_live_trials():
            actor = trial.temporary_state.ray_actor
            if trial.status != Trial.RUNNING or actor is None:
                self._heard.pop(trial.trial_id, None)
                continue
            since = now - self._heard.setdefault(trial.trial_id, now)
            if since > self.patience:
                logger.warning(
                    "trial %s has reported nothing for %.0f s: its process is killed",
                    trial.trial_id,
                    since,
                )
                self._heard[trial.trial_id] = now
                ray.kill(actor)

    def _remember(self, trial: Trial, result: dict[str, Any]) -> None:
        readings = self._readings.get(trial.trial_id, [])
        plan = self._plans.get(trial.trial_id) or _planned(trial)
        mode = self._mode or getattr(self.wrapped, "_mode", None)
        self._peers.ended(trial.config, result, readings, plan, self.metric, mode)

    def _forget(self, trial: Trial) -> None:
        for kept in (self._readings, self._plans, self._heard):
            kept.pop(trial.trial_id, None)


def _planned(trial: Trial) -> Plan | None:
    plain = (trial.config.get("lrsearch") or {}).get("plan")
    return None if plain is None else Plan.from_dict(plain)


def _reason(trial: Trial) -> str:
    error = trial.get_error() if hasattr(trial, "get_error") else None
    if error is None:
        return "failed in Ray; Tune's error.txt of this trial tells why"
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1].strip() if lines else 'no message'}"


def _tell(tune_controller: Any, what: str, trial: Trial, why: Any) -> None:
    """Tell our searcher, through whatever Tune has wrapped around it."""
    found = _searcher_with(tune_controller, what)
    if found is not None:
        getattr(found, what)(trial.trial_id, why)


def _searcher_with(tune_controller: Any, method: str) -> Any:
    found = getattr(tune_controller, "search_alg", None) or tune_controller._search_alg
    return inner_with(found, method)
