"""`StabilityPruner` and the watch in real, small training loops: who is stopped, when and why."""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor, nn

import lrsearch
from lrsearch import Reading, ScheduleSpace, StabilityPruner, Verdict
from lrsearch.exceptions import UnsupportedError
from lrsearch.integrations.optuna import OptunaHost, readings_of, verdict_of
from lrsearch.search import FAMILY, MULTIPLIER
from lrsearch.search._alignment import alignment
from lrsearch.stability import Host

BUDGET = 400
SPACE = ScheduleSpace(budget=BUDGET, families=("constant",), warmup=0.0)
EDGE = 0.3  # trains the curve below; its threshold is about 2 / 0.7
SEEDED = threading.Lock()  # threads share the generator: one model at a time
HUGE, TINY = 1e6, 1e-6  # rates, in units of the edge


@dataclass
class Run:
    """A small regression in the manner of a user's own loop; hooks bend it for a test."""

    rate: float = 1.0
    steps: int = BUDGET
    model: Callable[[], nn.Module] = lambda: nn.Sequential(
        nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)
    )
    every_step: Callable[[Any, int, nn.Module, torch.optim.Optimizer], None] | None = None
    loss_fn: Callable[[nn.Module, Any], Tensor] = lambda model, batch: nn.functional.mse_loss(
        model(batch[0]), batch[1]
    )
    result: Callable[[float], Any] = lambda loss: loss
    watched: bool = True
    done: list[int] = field(default_factory=list)

    def __call__(self, trial: optuna.Trial) -> Any:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(64, 2, generator=generator)
        batch = x, x[:, :1].sin() + x[:, 1:] ** 2
        with SEEDED, torch.random.fork_rng():
            torch.manual_seed(0)
            model = self.model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        schedule = SPACE.suggest(trial, EDGE * self.rate)
        scheduler = schedule.torch(optimizer)
        loss = torch.tensor(0.0)
        self.done.append(0)
        with lrsearch.watch(model, optimizer, self.loss_fn, host=trial) as watch:
            for step in range(1, self.steps + 1):
                loss = self.loss_fn(model, batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if step < self.steps:
                    scheduler.step()
                self.done[-1] = step
                if self.every_step is not None:
                    self.every_step(trial, step, model, optimizer)
                if self.watched:
                    watch.step(loss, batch)
        return self.result(loss.item())


def study_with(pruner: BasePruner | None, **options: Any) -> optuna.Study:
    study = optuna.create_study(
        sampler=lrsearch.EdgeSampler(SPACE, sampler=optuna.samplers.RandomSampler(), seed=0),
        pruner=pruner,
        **options,
    )
    for _ in range(5):
        study.enqueue_trial({MULTIPLIER: 1.0})
    return study


def only(study: optuna.Study) -> tuple[FrozenTrial, Verdict | None]:
    (trial,) = (t for t in study.trials if t.state.is_finished())
    return trial, verdict_of(trial.user_attrs)


def one(run: Run, pruner: BasePruner | None, **options: Any) -> tuple[FrozenTrial, Verdict | None]:
    study = study_with(pruner, **options)
    study.optimize(run, n_trials=1)
    return only(study)


# Our own rules


def test_a_run_at_the_edge_goes_to_its_end() -> None:
    run = Run()
    trial, verdict = one(run, StabilityPruner())
    assert trial.state == TrialState.COMPLETE
    assert verdict is None
    assert run.done == [BUDGET]
    readings = readings_of(trial.user_attrs)
    assert [r.step for r in readings] == sorted({r.step for r in readings})
    assert len(readings) >= 8
    assert readings[-1].step == BUDGET
    assert all(r.rho is not None and r.budget == BUDGET for r in readings)
    assert trial.value < 0.7 * readings[0].initial_loss
    assert readings[0].peak == pytest.approx(EDGE * alignment("constant", {}))  # of a constant rate


@pytest.mark.parametrize("rate", [HUGE, 30.0])
def test_a_huge_rate_has_diverged(rate: float) -> None:
    run = Run(rate=rate, model=lambda: nn.Linear(2, 1))
    trial, verdict = one(run, StabilityPruner())
    assert trial.state == TrialState.PRUNED
    assert (verdict.regime, verdict.side, verdict.stop) == ("diverged", "hot", True)
    assert "not finite" in verdict.reason
    assert verdict.step == run.done[0] < BUDGET
    assert f"step {verdict.step}" in verdict.reason
    assert trial.value is None
    assert not readings_of(trial.user_attrs)[-1].finite
    assert all(r.finite for r in readings_of(trial.user_attrs)[:-1])


def test_a_loss_that_stays_above_its_start_has_diverged_though_it_is_finite() -> None:
    run = Run(rate=7.6, model=lambda: nn.Linear(2, 1))  # overshoots a little more every step
    trial, verdict = one(run, StabilityPruner())
    assert trial.state == TrialState.PRUNED
    assert (verdict.regime, verdict.side) == ("diverged", "hot")
    assert "above its start" in verdict.reason
    readings = readings_of(trial.user_attrs)
    assert all(r.finite for r in readings)
    assert verdict.trend["loss"] == readings[-1].loss > verdict.trend["initial_loss"]
    assert readings[-2].loss > verdict.trend["initial_loss"]
    assert math.isfinite(verdict.trend["log_loss_per_step"])
    assert 0.1 * BUDGET <= run.done[0] < 0.5 * BUDGET


def test_a_rate_far_below_the_edge_is_stopped_by_half_the_budget() -> None:
    run = Run(rate=TINY)
    trial, verdict = one(run, StabilityPruner())
    assert trial.state == TrialState.PRUNED
    assert (verdict.regime, verdict.side) == ("below the edge", "cold")
    assert 0.25 * BUDGET <= verdict.step == run.done[0] <= 0.5 * BUDGET
    assert 0 < verdict.trend["rho"] < 1e-4
    assert f"{verdict.trend['rho']:.2g}" in verdict.reason
    assert verdict.trend["readings"] >= 3
    assert trial.value is None


def dying_net() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1, bias=False))
    nn.init.constant_(net[2].weight, -0.2)  # begins worse than an output of zero
    return net


def kill(trial: optuna.Trial, step: int, model: nn.Module, optimizer: Any) -> None:
    if step == 80:  # as one outlier batch does
        with torch.no_grad():
            model[0].bias.fill_(-1e4)


def test_a_net_whose_units_died_is_stopped_with_the_gradients_trend() -> None:
    run = Run(rate=0.12, model=dying_net, every_step=kill)
    trial, verdict = one(run, StabilityPruner())
    assert trial.state == TrialState.PRUNED
    assert verdict.regime == "dead"
    assert verdict.reason.startswith("dead: gradient norm 0 ")
    assert 80 < verdict.step == run.done[0] < BUDGET
    assert verdict.trend["gradient_norm"] == 0.0
    assert verdict.trend["initial_gradient_norm"] > 0.1
    assert verdict.trend["log_gradient_norm_per_step"] < 0
    # Alive, the same run is not stopped.
    trial, verdict = one(Run(rate=0.12, model=dying_net), StabilityPruner())
    assert (trial.state, verdict) == (TrialState.COMPLETE, None)


def test_the_stored_verdict_survives_the_storage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = study_with(StabilityPruner(), storage=url, study_name="s")
    study.optimize(Run(rate=TINY), n_trials=1)
    trial, verdict = only(optuna.load_study(storage=url, study_name="s"))
    assert verdict == verdict_of(study.trials[0].user_attrs)
    assert set(trial.user_attrs["lrsearch:verdict"]) == {
        *("stop", "regime", "reason", "side", "step", "trend")
    }
    assert trial.user_attrs["lrsearch:verdict"]["trend"]["rho"] > 0


# NaN never reaches the study


ALL_PRUNERS = [
    *(None, NopPruner(), MedianPruner(), StabilityPruner(), StabilityPruner(wrapped=NopPruner())),
    *(HyperbandPruner(min_resource=1, max_resource=9), SuccessiveHalvingPruner()),
]


@pytest.mark.parametrize("pruner", ALL_PRUNERS, ids=lambda pruner: type(pruner).__name__)
@pytest.mark.parametrize("where", ["at once", "between probes", "after the last probe"])
def test_a_diverged_run_is_pruned_and_never_fails(pruner: BasePruner | None, where: str) -> None:
    run = Run(result=lambda loss: float("nan"))
    if where == "at once":
        run.rate, run.model = HUGE, lambda: nn.Linear(2, 1)
    elif where == "between probes":

        def spoil(trial: Any, step: int, model: nn.Module, optimizer: Any) -> None:
            if step == 60:
                assert [r for r in readings_of(trial.user_attrs) if r.step < 60]
                next(model.parameters()).data.fill_(math.inf)

        run.every_step = spoil
    else:
        run.steps = BUDGET + 5

        def spoil(trial: Any, step: int, model: nn.Module, optimizer: Any) -> None:
            if step == BUDGET + 5:  # the loss of this step was finite, and there is no other
                next(model.parameters()).data.fill_(math.nan)

        run.every_step = spoil
    trial, verdict = one(run, pruner)
    assert trial.state == TrialState.PRUNED
    assert trial.value is None
    assert verdict.regime == "diverged"
    assert "not finite" in verdict.reason
    assert not readings_of(trial.user_attrs)[-1].finite
    if where == "between probes":
        assert 61 <= run.done[0] == verdict.step < BUDGET
    if where == "after the last probe":
        assert run.done[0] == verdict.step == BUDGET + 5


@pytest.mark.parametrize("pruner", [None, MedianPruner(), NopPruner(), HyperbandPruner()])
@pytest.mark.parametrize("rate", [1.0, TINY, 1e3])
def test_other_pruners_stop_only_what_is_not_finite(pruner: BasePruner | None, rate: float) -> None:
    run = Run(rate=rate)
    run.every_step = lambda trial, step, model, optimizer: [
        p.data.clamp_(-30.0, 30.0) for p in model.parameters()
    ]
    trial, verdict = one(run, pruner)
    assert (trial.state, verdict, run.done) == (TrialState.COMPLETE, None, [BUDGET])
    assert len(readings_of(trial.user_attrs)) >= 8


# The user's own reports


@pytest.mark.parametrize(
    "pruner", [StabilityPruner(), StabilityPruner(MedianPruner()), NopPruner()]
)
@pytest.mark.parametrize("rate", [1.0, TINY, HUGE])
def test_the_watch_never_reports(
    monkeypatch: pytest.MonkeyPatch, pruner: BasePruner, rate: float
) -> None:
    def report(*_: Any, **__: Any) -> None:
        raise AssertionError("the reported metric is the user's")

    monkeypatch.setattr(optuna.Trial, "report", report)
    trial, _ = one(Run(rate=rate), pruner)
    assert trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    assert len(trial.user_attrs) > 2
    assert trial.intermediate_values == {}


def test_the_value_of_a_stopped_trial_is_what_the_user_reported_last() -> None:
    run = Run(rate=TINY)
    run.every_step = lambda trial, step, *_: trial.report(0.25 + step / 1000, step)
    trial, verdict = one(run, StabilityPruner(), direction="maximize")
    assert trial.state == TrialState.PRUNED
    assert verdict.regime == "below the edge"
    assert trial.value == pytest.approx(0.25 + verdict.step / 1000)
    assert set(trial.intermediate_values) == set(range(1, verdict.step + 1))


@pytest.mark.parametrize("asks", [False, True], ids=["watch asks", "user asks too"])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_wrapped_pruner_stops_by_the_users_own_metric(direction: str, asks: bool) -> None:
    good, bad = (0.1, 0.9) if direction == "minimize" else (0.9, 0.1)

    def every_step(trial: Any, step: int, *_: Any) -> None:
        trial.report(good if trial.number != 3 else bad, step)
        if asks and trial.should_prune():
            raise optuna.TrialPruned("by the user")

    run = Run(every_step=every_step)
    wrapped = MedianPruner(n_startup_trials=2, n_warmup_steps=10)
    study = study_with(StabilityPruner(wrapped=wrapped), direction=direction)
    study.optimize(run, n_trials=5)
    done = [TrialState.COMPLETE] * 3 + [TrialState.PRUNED, TrialState.COMPLETE]
    assert [t.state for t in study.trials] == done
    assert study.trials[3].value == bad
    assert 10 <= run.done[3] < 40
    verdict = verdict_of(study.trials[3].user_attrs)
    if asks:
        assert (verdict, run.done[3]) == (None, 10)
    else:
        assert (verdict.regime, verdict.step) == ("host", run.done[3])
        assert verdict.reason == f"stopped by MedianPruner at step {verdict.step}"


@pytest.mark.parametrize("wrapped", [None, NopPruner(), MedianPruner(), SuccessiveHalvingPruner()])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reported_value_that_is_not_finite_stops_the_run(
    wrapped: BasePruner | None, value: float
) -> None:
    run = Run()
    run.every_step = lambda trial, step, *_: trial.report(value if step >= 30 else 1.0, step)
    trial, verdict = one(run, StabilityPruner(wrapped))
    assert trial.state == TrialState.PRUNED
    assert 30 <= run.done[0] == verdict.step < 50
    assert "reported last is not finite" in verdict.reason
    # The user's own question gets the same answer, without any watch.
    run = Run(watched=False)

    def every_step(trial: Any, step: int, *_: Any) -> None:
        trial.report(value if step == 30 else 1.0, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    run.every_step = every_step
    trial, _ = one(run, StabilityPruner(wrapped))
    assert (trial.state, run.done) == (TrialState.PRUNED, [30])


@pytest.mark.parametrize("wrapped", [None, ThresholdPruner(upper=0.5)])
def test_without_readings_it_is_the_wrapped_pruner_and_says_so_once(
    wrapped: BasePruner | None, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(watched=False, rate=TINY)

    def every_step(trial: Any, step: int, *_: Any) -> None:
        trial.report(0.9 if trial.number == 1 and step > 40 else 0.1, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    run.every_step = every_step
    study = study_with(StabilityPruner(wrapped))
    with caplog.at_level(logging.WARNING, logger="lrsearch"):
        study.optimize(run, n_trials=3)
    assert run.done == ([BUDGET, 41, BUDGET] if wrapped else [BUDGET] * 3)
    (record,) = [r for r in caplog.records if r.name == "lrsearch"]
    assert "no readings" in record.getMessage()
    assert ("ThresholdPruner" if wrapped else "runs on") in record.getMessage()


def test_with_readings_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="lrsearch"):
        one(Run(), StabilityPruner(NopPruner()))
    assert [r for r in caplog.records if r.name == "lrsearch"] == []


def test_a_wrapped_hyperband_is_refused_however_deep() -> None:
    with pytest.raises(UnsupportedError, match="SuccessiveHalvingPruner"):
        StabilityPruner(wrapped=HyperbandPruner())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        patient = PatientPruner(HyperbandPruner(), patience=2)
        fine = PatientPruner(MedianPruner(), patience=2)
    with pytest.raises(UnsupportedError, match="brackets"):
        StabilityPruner(wrapped=patient)
    assert StabilityPruner(wrapped=StabilityPruner(wrapped=fine)).wrapped.wrapped is fine


# Several objectives


@pytest.mark.parametrize("pruner", [StabilityPruner(), NopPruner(), None])
@pytest.mark.parametrize(
    ("rate", "regime"), [(1.0, None), (TINY, "below the edge"), (HUGE, "diverged")]
)
def test_with_several_objectives_the_watch_prunes_by_itself(
    pruner: BasePruner | None, rate: float, regime: str | None
) -> None:
    run = Run(rate=rate, result=lambda loss: (loss, 1.0))
    if rate == HUGE:
        run.model = lambda: nn.Linear(2, 1)
    trial, verdict = one(run, pruner, directions=["minimize", "maximize"])
    if regime is None:
        assert (trial.state, verdict) == (TrialState.COMPLETE, None)
    else:
        assert (trial.state, verdict.regime) == (TrialState.PRUNED, regime)
        assert run.done[0] <= BUDGET // 2


# Nothing that was paid for is lost


class SecondConnection(BasePruner):
    """Looks into the database as another process would, whenever a decision is due."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[tuple[list[int], list[int]]] = []

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        with sqlite3.connect(self.path) as connection:
            rows = connection.execute(
                "SELECT key FROM trial_user_attributes WHERE trial_id = ? AND key LIKE ?",
                (trial._trial_id, "lrsearch:reading:%"),
            ).fetchall()
        connection.close()
        stored = sorted(int(key.rsplit(":", 1)[1]) for (key,) in rows)
        self.seen.append((stored, [r.step for r in readings_of(trial.user_attrs)]))
        return False


def test_every_reading_is_in_the_storage_before_the_next_decision(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    witness = SecondConnection(path)
    study = study_with(StabilityPruner(wrapped=witness), storage=f"sqlite:///{path}")
    study.optimize(Run(), n_trials=1)
    trial, _ = only(study)
    steps = [r.step for r in readings_of(trial.user_attrs)]
    assert len(steps) >= 8
    assert [known for _, known in witness.seen] == [steps[: i + 1] for i in range(len(steps))]
    assert all(stored == known for stored, known in witness.seen)


# The host by itself


def test_the_host_is_one_and_knows_the_plan_of_its_trial() -> None:
    study = study_with(StabilityPruner())
    trial = study.ask()
    assert OptunaHost(trial).budget is None
    schedule = SPACE.suggest(trial, EDGE)
    host = OptunaHost(trial)
    assert isinstance(host, Host)
    assert (host.budget, host.peak) == (BUDGET, schedule.peak)
    host.emit(Reading(step=7, learning_rate=0.1, loss=math.nan))
    host.emit(Reading(step=123, learning_rate=0.1, loss=1.0))
    read = readings_of(study.trials[0].user_attrs)
    assert [(r.step, r.loss) for r in read] == [(7, None), (123, 1.0)]
    with pytest.raises(optuna.TrialPruned, match="because"):
        host.stop(Verdict(stop=True, reason="because", regime="host", step=123))
    assert verdict_of(trial.user_attrs).reason == "because"
    assert trial.user_attrs["lrsearch:plan"]["peak"] == schedule.peak
    assert trial.params[FAMILY] == "constant"


def test_the_users_own_should_prune_hears_of_the_readings_too() -> None:
    study = study_with(StabilityPruner())
    trial = study.ask()
    SPACE.suggest(trial, EDGE)
    host = OptunaHost(trial)
    host.emit(Reading(step=5, learning_rate=0.1, loss=1.0))
    assert not trial.should_prune()
    host.emit(Reading(step=6, learning_rate=0.1, finite=False))
    assert trial.should_prune()
    # A reading without a budget is judged by the plan's: cold, by a quarter of it.
    trial = study.ask()
    peak = SPACE.suggest(trial, EDGE).peak
    for step in (60, 80, 100):
        assert not trial.should_prune()
        loss = {"loss": 1.0, "initial_loss": 1.0}
        cold = Reading(step=step, learning_rate=peak, sharpness=1e-6, threshold=2.0, **loss)
        OptunaHost(trial).emit(cold)
    assert trial.should_prune()


def test_a_reading_that_cannot_be_read_is_left_out_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = study_with(StabilityPruner())
    trial = study.ask()
    host = OptunaHost(trial)
    host.emit(Reading(step=7, learning_rate=0.1))
    trial.set_user_attr("lrsearch:reading:0000000008", {"version": 99, "step": 8})
    with caplog.at_level(logging.WARNING, logger="lrsearch"):
        assert [r.step for r in readings_of(trial.user_attrs)] == [7]
    assert "0000000008" in caplog.text
    assert "version 99" in caplog.text


def test_two_threads_keep_their_readings_apart() -> None:
    run = Run()
    study = study_with(StabilityPruner())
    study.optimize(run, n_trials=5, n_jobs=2)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 5
    kept = [readings_of(t.user_attrs) for t in study.trials]
    assert len({tuple(r.step for r in readings) for readings in kept}) == 1
    assert len({readings[-1].peak for readings in kept}) == 1
