"""Ray Tune as it runs: one small cluster, and trials that take no time."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from torch import nn

pytest.importorskip("ray")
import ray
from ray import cloudpickle, tune
from ray.tune.search.optuna import OptunaSearch

import lrsearch.ray as face
from lrsearch import ScheduleSpace
from lrsearch.curvature import FORWARD
from lrsearch.integrations.optuna import ATTEMPTS_KEY, COST_KEY, plan_of, readings_of, verdict_of
from lrsearch.search import FAMILY, MULTIPLIER
from lrsearch.sweeps import sweep
from lrsearch.training import Task, load_checkpoint, tensor_stream

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(280)]

BUDGET, TRIALS, SEED = 30, 3, 5
SPACE = ScheduleSpace(budget=BUDGET, families=("linear", "cosine"))
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]])


def loss_fn(model: nn.Module, batch: Any) -> torch.Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def evaluate(model: nn.Module) -> float:
    with torch.no_grad():
        return float(loss_fn(model, (X, Y)))


def line(**changes: Any) -> Task:
    plain = {
        "name": "line",
        "model": lambda: nn.Linear(4, 1),
        "loss": loss_fn,
        "stream": tensor_stream(X, Y, batch_size=16),
        "evaluate": evaluate,
        "optimizer": lambda model, rate: torch.optim.SGD(model.parameters(), lr=rate),
        "budget": BUDGET,
    }
    return Task(**plain | changes)


class Batches:
    """A loader that notes in a file which trial went through it."""

    def __init__(self, file: str, name: Any) -> None:
        self.file, self.name = file, name

    def __iter__(self) -> Iterator[Any]:
        with open(self.file, "a") as file:
            file.write(f"{self.name}\n")
        return iter([(X[i : i + 16], Y[i : i + 16]) for i in range(0, 64, 16)])


def train(config: dict[str, Any]) -> None:
    """A training function as a user writes it: measured, watched, with a parameter of its own."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, config.get("width", 4)), nn.Linear(config.get("width", 4), 1)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    trial = face.trial(config)
    loader = Batches(config["log"], trial.number)
    edge = config.get("edge") or face.edge(trial, model, optimizer, loss_fn, loader)
    schedule = SPACE.suggest(trial, edge)
    scheduler = schedule.torch(optimizer)
    step = 0
    with face.watch(model, optimizer, loss_fn, trial=trial) as watch:
        for batch in islice(cycle(list(loader)), BUDGET):
            optimizer.zero_grad()
            loss = loss_fn(model, batch)
            if config.get("nan") and step > BUDGET // 2:
                loss = loss * math.nan
            loss.backward()
            optimizer.step()
            scheduler.step()
            step += 1
            watch.step(loss, batch)
            if config.get("every") and step % config["every"] == 0:
                trial.step = step
                trial.report({"loss": evaluate(model)})
    trial.report({"loss": evaluate(model)})


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # else they wait for all else on a busy machine
        ray.init(
            "local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
        )
        yield
        ray.shutdown()
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    monkeypatch.setenv("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    monkeypatch.setenv("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")


def runs(folder: Path, **options: Any) -> tune.RunConfig:
    return tune.RunConfig(name="experiment", storage_path=str(folder), verbose=0, **options)


def own(folder: Path, **options: Any) -> tune.Tuner:
    """A tuner of the training function above."""
    config = {"num_samples": TRIALS, "reuse_actors": True} | options.pop("config", {})
    space = {"log": str(folder / "log")} | options.pop("param_space", {})
    return face.tuner(
        train,
        SPACE,
        metric="loss",
        mode="min",
        seed=SEED,
        param_space=space,
        tune_config=tune.TuneConfig(**config),
        run_config=runs(folder, **options.pop("run_options", {})),
        **options,
    )


def study_at(folder: Path) -> str:
    return f"sqlite:///{folder}/s.db"


def trials(url: str, name: str = "study") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(storage=url, study_name=name, sampler=None).get_trials()


def content(found: list[optuna.trial.FrozenTrial]) -> list[tuple[Any, ...]]:
    return [
        (t.number, t.state, t.params, t.values, plan_of(t.user_attrs), readings_of(t.user_attrs))
        for t in found
    ]


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> list[tuple[Any, ...]]:
    """The same trials, one after the other in this process."""
    folder = tmp_path_factory.mktemp("local")
    sweep(line(), SPACE, storage=study_at(folder), study_name="study", trials=TRIALS, seed=SEED)
    return content(trials(study_at(folder)))


def one_at_a_time() -> tune.TuneConfig:
    return tune.TuneConfig(num_samples=TRIALS, max_concurrent_trials=1)


def test_a_task_s_tuner_gives_the_trials_of_a_sweep(local, tmp_path: Path) -> None:
    results = face.tuner(
        line(),
        SPACE,
        seed=SEED,
        storage=study_at(tmp_path),
        study_name="study",
        tune_config=one_at_a_time(),
        run_config=runs(tmp_path),
    ).fit()
    assert content(trials(study_at(tmp_path))) == local
    complete = [values[0] for _, state, _, values, *_ in local if state.name == "COMPLETE"]
    assert results.get_best_result("metric", "min").metrics["metric"] == min(complete)
    assert results.num_errors == 0
    # The best trial's weights are kept, and nothing else.
    (weights,) = tmp_path.glob("experiment/*/checkpoint_*")
    assert [p.name for p in weights.iterdir()] == ["weights.pt"]
    assert weights.parent.name == Path(results.get_best_result("metric", "min").path).name


def test_averaged_weights_are_the_result_as_in_a_sweep(tmp_path: Path) -> None:
    def judged(model: nn.Module) -> float:
        value = evaluate(model.eval())  # by the statistics that were kept
        model.train()
        return value

    task = line(
        name="normed",
        model=lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1)),
        evaluate=judged,
    )
    space = ScheduleSpace(budget=BUDGET, families=("swa", "ema"))
    url = study_at(tmp_path)
    plain = sweep(task, space, storage=url, study_name="here", trials=2, seed=SEED)
    face.tuner(
        task,
        space,
        seed=SEED,
        storage=url,
        study_name="ray",
        tune_config=tune.TuneConfig(num_samples=2, max_concurrent_trials=1),
        run_config=runs(tmp_path),
    ).fit()
    found = trials(url, "ray")
    assert plain.complete
    assert content(found) == content(trials(url, "here"))
    costs = [t.user_attrs[COST_KEY].get("result") for t in found if t.state.name == "COMPLETE"]
    assert costs
    assert costs == [pytest.approx(10 * FORWARD)] * len(costs)
    (weights,) = tmp_path.glob("experiment/*/checkpoint_*/weights.pt")
    kept = load_checkpoint(weights)
    model = task.model()
    model.load_state_dict(kept["model"])
    assert int(model[0].num_batches_tracked) == 10
    assert judged(model) == kept["metric"]


def test_an_interrupted_experiment_goes_on_where_it_was(local, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "0")

    class Crash(tune.Callback):
        """In the middle of the second trial, once: restored with everything else it lives on."""

        checkpoints = 0

        def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
            died = tmp_path / "died"
            if self.checkpoints == 3 and not died.exists():
                died.touch()
                raise RuntimeError("the driver dies")

        def on_trial_save(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self.checkpoints += len(trials) == 2

    options: dict[str, Any] = {"checkpoint_every": 5, "checkpoint_seconds": 0.0}
    made = face.tuner(
        line(),
        SPACE,
        seed=SEED,
        storage=study_at(tmp_path),
        study_name="study",
        tune_config=one_at_a_time(),
        run_config=runs(tmp_path, callbacks=[Crash()]),
        **options,
    )
    with pytest.raises(Exception, match="the driver dies"):
        made.fit()
    states = [t.state.name for t in trials(study_at(tmp_path))]
    assert states == [local[0][1].name, "RUNNING"]
    again = tune.Tuner.restore(
        str(tmp_path / "experiment"),
        face.task_trainable(line(), SPACE, **options),
        resume_unfinished=True,
    )
    results = again.fit()
    found = trials(study_at(tmp_path))
    assert content(found) == local
    assert len(results) == TRIALS
    attempts = [[a["step"] for a in t.user_attrs[ATTEMPTS_KEY]] for t in found]
    assert [len(a) for a in attempts] == [1, 2, 1]
    assert attempts[1][1] >= 5  # from a checkpoint


def test_an_edge_is_measured_once_though_two_trials_begin_together(tmp_path: Path) -> None:
    results = own(
        tmp_path,
        storage=study_at(tmp_path),
        study_name="study",
        param_space={"width": tune.choice([4, 8])},
    ).fit()
    assert results.num_errors == 0
    found = trials(study_at(tmp_path))
    assert all(t.state.is_finished() for t in found)
    assert len({plan_of(t.user_attrs).edge for t in found}) == 1
    assert {t.params["width"] for t in found} <= {4, 8}
    assert all(t.params[FAMILY] in SPACE.families for t in found)
    # Every trial goes through the batches once to train; one of them also to measure.
    lines = (tmp_path / "log").read_text().split()
    assert len({name for name in lines if lines.count(name) > 1}) == 1
    assert set(lines) == {str(n) for n in range(TRIALS)}


def test_what_asha_stops_is_pruned_with_its_step(tmp_path: Path) -> None:
    asha = tune.schedulers.ASHAScheduler(
        time_attr="lrsearch_step", max_t=BUDGET, grace_period=10, reduction_factor=2
    )
    own(
        tmp_path,
        edge=0.05,
        storage=study_at(tmp_path),
        study_name="study",
        config={"scheduler": asha, "num_samples": 6},
        param_space={"every": 10},
    ).fit()
    found = trials(study_at(tmp_path))
    assert all(t.state.is_finished() for t in found)
    pruned = [t for t in found if t.state.name == "PRUNED"]
    assert pruned
    for trial in pruned:
        verdict = verdict_of(trial.user_attrs)
        assert verdict is not None
        assert (verdict.regime, verdict.step) == ("host", 10)
        assert verdict.reason == "stopped by Tune's trial scheduler at step 10"
    assert any(t.state.name == "COMPLETE" for t in found)


@pytest.mark.parametrize("kind", ["optuna", "basic variant"])
def test_our_trial_scheduler_works_under_tunes_own_searchers(tmp_path: Path, kind: str) -> None:
    """A large multiplier explodes here, and is stopped; a training function needs no board."""
    scheduler = face.StabilityTrialScheduler()
    space = face.param_space(SPACE) | {"log": str(tmp_path / "log"), "edge": 0.3}
    points = [{FAMILY: "linear", MULTIPLIER: m} for m in (0.5, 7.9)]
    optuna_search = OptunaSearch(seed=0, points_to_evaluate=points)
    if kind == "basic variant":
        space[MULTIPLIER] = tune.grid_search([0.5, 7.9])
    results = tune.Tuner(
        train,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            num_samples=2 if kind == "optuna" else 1,
            scheduler=scheduler,
            search_alg=optuna_search if kind == "optuna" else None,
            reuse_actors=True,
        ),
        run_config=runs(tmp_path),
    ).fit()
    assert results.num_errors == 0
    ended = {r.config[MULTIPLIER]: r.metrics for r in results}
    assert set(ended) == {0.5, 7.9}
    assert ended[0.5]["lrsearch_step"] == BUDGET
    assert ended[7.9]["lrsearch_step"] < BUDGET
    assert "loss" in ended[0.5]
    assert "loss" not in ended[7.9]


def test_a_run_that_turns_nan_ends_and_is_recorded_under_plain_fifo(tmp_path: Path) -> None:
    own(
        tmp_path,
        edge=0.05,
        storage=study_at(tmp_path),
        study_name="study",
        config={"scheduler": tune.schedulers.FIFOScheduler(), "num_samples": 2},
        param_space={"nan": True},
    ).fit()
    found = trials(study_at(tmp_path))
    assert [t.state.name for t in found] == ["PRUNED"] * 2
    verdicts = [verdict_of(t.user_attrs) for t in found]
    assert {v.regime for v in verdicts} == {"diverged"}
    assert all(BUDGET // 2 < v.step < BUDGET for v in verdicts)


class Enough(tune.Stopper):
    """Ends the whole experiment after some results."""

    seen = 0

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self.seen += 1
        return False

    def stop_all(self) -> bool:
        return self.seen >= 2


@pytest.mark.parametrize("stored", [True, False])
def test_trials_that_end_with_their_experiment_do_not_run_for_ever(tmp_path, stored) -> None:
    made = own(
        tmp_path,
        edge=0.05,
        config={"num_samples": 4, "max_concurrent_trials": 2},
        param_space={"every": 1},
        run_options={"stop": Enough()},
        **({"storage": study_at(tmp_path), "study_name": "study"} if stored else {}),
    )
    made.fit()
    if stored:
        found = trials(study_at(tmp_path))
    else:  # as a restored experiment would find them
        searcher = face.EdgeSearcher(SPACE, metric="loss", mode="min", edge=0.05)
        searcher.restore_from_dir(str(tmp_path / "experiment"))
        found = searcher.study.get_trials()
    assert found
    assert all(t.state.is_finished() for t in found)
    pruned = [t for t in found if t.state.name == "PRUNED"]
    assert pruned
    reasons = [verdict_of(t.user_attrs).reason for t in pruned]
    assert all(r.startswith("stopped with the whole experiment at step") for r in reasons)
