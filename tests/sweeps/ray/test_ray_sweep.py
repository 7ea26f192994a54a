"""`ray_sweep` in this process, on one small cluster: the same study as `sweep` makes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from filelock import FileLock
from torch import nn

pytest.importorskip("ray")
import ray
from ray import cloudpickle

from lrsearch import ScheduleSpace
from lrsearch.exceptions import (
    InvalidScheduleError,
    InvalidSpaceError,
    SpaceMismatchError,
    StudyMismatchError,
    TaskError,
    UnsupportedError,
)
from lrsearch.integrations.optuna import (
    ATTEMPTS_KEY,
    ERROR_KEY,
    edge_key,
    plan_of,
    readings_of,
    store_edge,
)
from lrsearch.search import Plan
from lrsearch.stability import Edge
from lrsearch.sweeps import Silent, SweepResult, TrialEnd, open_storage, open_study, sweep
from lrsearch.sweeps._weights import best_weights
from lrsearch.sweeps.ray import Cluster, ray_sweep
from lrsearch.training import Task, load_checkpoint, tensor_stream

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(280)]

BUDGET, TRIALS, SEED = 20, 3, 4
SPACE = ScheduleSpace(budget=BUDGET, families=("linear", "cosine"))
ONE = Cluster(workers=1)
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]])


def loss(model: nn.Module, batch: Any) -> torch.Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def evaluate(model: nn.Module) -> float:
    with torch.no_grad():
        return float(loss(model, (X, Y)))


def broken(model: nn.Module) -> float:
    raise OSError("the disk is gone")


def line(**changes: Any) -> Task:
    plain = {
        "name": "line",
        "model": lambda: nn.Linear(4, 1),
        "loss": loss,
        "stream": tensor_stream(X, Y, batch_size=16),
        "evaluate": evaluate,
        "optimizer": lambda model, rate: torch.optim.SGD(model.parameters(), lr=rate),
        "budget": BUDGET,
    }
    return Task(**plain | changes)


class Story(Silent):
    """Remembers what it is told; ``at_step`` may interfere."""

    def __init__(self, at_step: Callable[[int, int], None] = lambda number, step: None) -> None:
        self.notes: list[str] = []
        self.ends: list[TrialEnd] = []
        self.begun: list[tuple[int, int]] = []
        self.at_step = at_step

    def note(self, line: str) -> None:
        self.notes.append(line)

    def begin(self, number: int, plan: Plan, resumed_from: int) -> None:
        self.begun.append((number, resumed_from))

    def step(self, number: int, step: int) -> None:
        self.at_step(number, step)

    def end(self, trial: TrialEnd) -> None:
        self.ends.append(trial)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/s.db"
        self.folder = folder / "s.db.runs" / "study"

    def known(self, rate: float = 0.1) -> Bench:
        """A study that knows the edge: not every test has to pay for it."""
        study = open_study(open_storage(self.url, create=True), "study", create=True)
        store_edge(study, edge_key("line", ""), Edge.known(rate))
        return self

    def sweep(self, task: Task | None = None, **options: Any) -> SweepResult:
        plain = {"cluster": ONE, "trials": TRIALS, "seed": SEED, "space": SPACE} | options
        return ray_sweep(task or line(), storage=self.url, study_name="study", **plain)

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return open_study(open_storage(self.url, create=False), "study").get_trials()


def content(found: list[optuna.trial.FrozenTrial]) -> list[tuple[Any, ...]]:
    return [
        (t.number, t.state, t.params, t.values, plan_of(t.user_attrs), readings_of(t.user_attrs))
        for t in found
    ]


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


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> list[tuple[Any, ...]]:
    """The same sweep without Ray."""
    url = f"sqlite:///{tmp_path_factory.mktemp('local')}/s.db"
    done = sweep(line(), SPACE, storage=url, study_name="study", trials=TRIALS, seed=SEED)
    return content(done.study.get_trials())


def test_it_is_the_sweep_and_goes_on_with_more_trials(bench: Bench, local) -> None:
    story = Story()
    first = bench.sweep(trials=2, listener=story)
    assert first.complete
    assert content(bench.trials()) == local[:2]
    assert story.begun == [(0, 0), (1, 0)]
    assert [(e.number, e.metric) for e in story.ends] == [
        (n, v and v[0]) for n, _, _, v, *_ in local[:2]
    ]
    assert "measuring the edge in a worker of the cluster" in story.notes
    bench.sweep(seed=None)  # the study knows its seed
    assert content(bench.trials()) == local
    best = min((values[0], n) for n, _, _, values, *_ in local if values)
    kept = load_checkpoint(best_weights(bench.folder))
    assert (kept["metric"], kept["trial"]) == best
    model = nn.Linear(4, 1)
    model.load_state_dict(kept["model"])
    assert evaluate(model) == best[0]
    assert not (bench.folder / "ray").exists()
    again = Story()
    assert bench.sweep(listener=again).complete  # nothing is left to do
    assert (again.begun, len(bench.trials())) == ([], TRIALS)


def test_interrupted_it_goes_on_from_the_checkpoint(bench: Bench, local) -> None:
    reached = False

    def look(number: int, step: int) -> None:
        nonlocal reached
        reached = reached or (number == 1 and step >= 10)

    options: dict[str, Any] = {"checkpoint_every": 5, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        bench.sweep(listener=Story(look), interrupted=lambda: reached, **options)
    assert [t.state.name for t in bench.trials()] == [local[0][1].name, "RUNNING"]
    story = Story()
    bench.sweep(listener=story, **options)
    assert content(bench.trials()) == local
    attempts = [[a["step"] for a in t.user_attrs[ATTEMPTS_KEY]] for t in bench.trials()]
    assert [len(a) for a in attempts] == [1, 2, 1]
    assert attempts[1][1] >= 5
    assert story.begun == [(1, attempts[1][1]), (2, 0)]
    assert not list(bench.folder.glob("ray/*/*/checkpoint_*/run.pt"))


def test_known_rates_are_tried_first(bench: Bench) -> None:
    bench.known().sweep(trials=2, rates=[("cosine", 0.07), ("linear", 0.03)])
    plans = [plan_of(t.user_attrs) for t in bench.trials()]
    assert [(p.family, p.peak) for p in plans] == [
        ("cosine", pytest.approx(0.07)),
        ("linear", pytest.approx(0.03)),
    ]


def test_a_task_that_always_raises_is_given_up_with_its_reasons(bench: Bench) -> None:
    story = Story()
    with pytest.raises(TaskError, match=r"first 3 trials all failed.*OSError: the disk is gone"):
        bench.known().sweep(line(evaluate=broken), trials=9, listener=story)
    assert [t.state.name for t in bench.trials()] == ["FAIL"] * 3
    assert [t.user_attrs[ERROR_KEY] for t in bench.trials()] == ["OSError: the disk is gone"] * 3
    assert [e.reason for e in story.ends] == ["OSError: the disk is gone"] * 3


# Refused before anything runs


def test_a_second_driver_is_refused(bench: Bench) -> None:
    bench.known()
    bench.folder.mkdir(parents=True)
    with FileLock(bench.folder / "driver.lock", thread_local=False):
        with pytest.raises(StudyMismatchError, match=r"another Ray sweep drives study 'study'"):
            bench.sweep()
    assert bench.trials() == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"cluster": Cluster(gpus=4.0)}, UnsupportedError, "and 4 GPU, and no node of"),
        (
            {"cluster": Cluster(cpus=64.0)},
            UnsupportedError,
            r"64 CPU.*: 2 CPU, 0 GPU.*--cpus-per-trial",
        ),
        ({"share": 0.0}, InvalidSpaceError, "share must lie in"),
        ({"rates": [("cosinus", 0.1)]}, InvalidScheduleError, "cosinus"),
        ({"rates": [("wsd", 0.1)]}, InvalidSpaceError, "does not search wsd"),
        ({"rates": [(None, -1.0)]}, InvalidSpaceError, "learning_rate must be > 0"),
        ({"seed": 99}, StudyMismatchError, "begun with seed 4"),
        ({"task": line(name="another")}, StudyMismatchError, "about task 'line'"),
        ({"space": ScheduleSpace(budget=7)}, SpaceMismatchError, "another search space"),
    ],
)
def test_what_does_not_fit_is_refused_at_no_cost(bench: Bench, monkeypatch, options, error, words):
    bench.known().sweep(trials=0)

    def never(*_: Any) -> Any:
        raise AssertionError("measured, though it is refused")

    monkeypatch.setattr("lrsearch.sweeps.ray._sweep._edge", never)
    with pytest.raises(error, match=words):
        bench.sweep(**options)
    assert bench.trials() == []
