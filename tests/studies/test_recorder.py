"""The recorder: what it stores is the run that everybody else would have trained."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lrsearch.schedules import Schedule
from lrsearch.tasks import digits, digits_cnn
from lrsearch.training import Task, train

STUDY = Path(__file__).parents[2] / "studies" / "search_efficiency"
BUDGET = 100


@pytest.fixture(scope="module")
def training(load) -> Any:
    return load("training")


@pytest.fixture(scope="module")
def rungs(load) -> Any:
    return load("rungs")


class Noisy(nn.Module):
    """Draws random numbers in training, as dropout does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.inner(x))


TASKS: dict[str, Any] = {
    "momentum": digits,
    "batch norm, adamw": digits_cnn,
    "dropout": lambda: replace(digits(), model=Noisy),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_recorded_run_is_the_run_itself(training, rungs, name: str) -> None:
    """Readings, copies and branches leave no trace, bit for bit."""
    task: Task = TASKS[name]()
    records = training.record_run(task, ("constant", "wsd"), 0.05, 3, BUDGET)
    wsd = {"cooldown": 0.2, "cooldown_shape": "1-sqrt"}
    for label, schedule in {
        "constant": Schedule("constant", 0.05, BUDGET),
        "wsd": Schedule("wsd", 0.05, BUDGET, wsd),
    }.items():
        alone = train(task, schedule, seed=3, share=None)
        record = records[label]
        assert record.final["final_loss"] == alone.metric
        assert [row["step"] for row in record.rows] == rungs.steps_of(BUDGET)
        assert record.rows[-1]["learning_rate"] == schedule(BUDGET - 1)
    assert records["constant"].rows[15] == records["wsd"].rows[15]
    assert records["constant"].rows[-1] != records["wsd"].rows[-1]


def test_every_column_is_measured_where_it_should_be(training, rungs) -> None:
    (record,) = training.record_run(digits(), ("linear",), 0.05, 0, BUDGET).values()
    for name in rungs.COLUMNS:
        at = [i for i, row in enumerate(record.rows, 1) if math.isfinite(row.get(name, math.nan))]
        expected = list(range(1, rungs.RUNGS + 1))
        if name == "cooled_loss":
            expected = list(rungs.COOLED)
        elif "many" in name:
            expected = list(rungs.GENEROUS)
        elif "top" in name:
            expected = list(rungs.TOP)
        assert at == expected, name
    first, last = record.rows[0], record.rows[-1]
    assert last["loss"] < first["loss"]
    assert record.rows[3]["cooled_loss"] < record.rows[3]["loss"] + 0.05
    assert all(record.clock.counts[part] for part in rungs.PARTS)
    assert record.clock.counts["train"] == BUDGET


def test_a_run_that_diverges_ends_and_says_where(training) -> None:
    (record,) = training.record_run(digits(), ("linear",), 1e6, 0, BUDGET).values()
    assert 0 < record.final["diverged_at"] <= BUDGET
    assert "final_loss" not in record.final
    assert len(record.rows) < 20


def test_the_test_split_is_measured_on_the_last_weights(training, load) -> None:
    judged = load("judged")
    seen = []

    def test(model: nn.Module) -> float:
        seen.append(sum(float(p.detach().sum()) for p in model.parameters()))
        return float(len(seen))

    fields = {name: getattr(digits(), name) for name in Task.__dataclass_fields__}
    task = judged.Judged(**fields, test=test)
    (record,) = training.record_run(task, ("linear",), 0.05, 0, BUDGET).values()
    assert (record.final["final_test"], record.final["final_averaged_test"]) == (1.0, 2.0)
    assert seen[0] != seen[1]


OUTSIDE = '''
"""A task of somebody else's."""
import torch
from torch import nn
from lrsearch.training import Task, tensor_stream

X = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
Y = torch.tanh(X @ torch.randn(8, 2, generator=torch.Generator().manual_seed(1)))


def loss(model, batch):
    return (model(batch[0]) - batch[1]).square().mean()


def evaluate(model):
    with torch.no_grad():
        return float(loss(model, (X[200:], Y[200:])))


def mine():
    return Task(
        name="mine", model=lambda: nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2)),
        loss=loss, stream=tensor_stream(X[:200], Y[:200], batch_size=20), evaluate=evaluate,
        optimizer=lambda model, rate: torch.optim.SGD(model.parameters(), lr=rate), budget=20,
    )
'''


SEARCHER = """
import random


class Searcher:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def ask(self):
        return {"shape": "constant", "learning_rate": 10 ** self.random.uniform(-2, 0)}

    def tell(self, suggestion, loss):
        assert suggestion["shape"] == "constant"
        assert loss is None or loss > 0
"""


@pytest.mark.timeout(280)
def test_a_task_of_ones_own_is_recorded_resumed_converted_and_replayed(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "outside.py").write_text(OUTSIDE)
    out = tmp_path / "mine"
    order = [sys.executable, str(STUDY / "record.py"), "--task", "outside.py:mine", "--out"]
    order += [str(out), "--families", "constant,wsd", "--jobs", "2", "--edges", "1"]
    order += ["--seeds", "1", "--best-seeds", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def run(command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(order)
    files = sorted(out.glob("*/*.npz"))
    assert {p.parent.name for p in files} == {"constant", "wsd"}
    kept = {p: p.stat().st_mtime_ns for p in files}
    (lost, torn) = files[0], files[-1]
    lost.unlink()
    torn.write_bytes(torn.read_bytes()[:100])
    run(order)
    assert sorted(out.glob("*/*.npz")) == files
    twins = {out / label / p.name for p in (lost, torn) for label in ("constant", "wsd")}
    again = {p for p in files if p.stat().st_mtime_ns != kept[p]}
    assert again == twins  # trained together
    run([sys.executable, str(STUDY / "convert.py"), str(out), str(tmp_path / "mine.parquet")])
    table = parquet.read_table(tmp_path / "mine.parquet")
    about = json.loads(table.schema.metadata[b"lrsearch"])
    assert table.num_rows == 20 * len(files)
    assert about["task"] == "mine"
    assert about["prices"]["train"] == 1.0
    assert about["edges"][0]["learning_rate"] > 0
    assert np.isfinite(table["final_loss"].to_numpy()).mean() > 0.5
    replayed = [sys.executable, str(STUDY / "replay.py"), "mine.parquet", "--sweeps", "2"]
    replayed += ["--cost", "4", "--method", "oracle"]
    assert "mine: best" in run([*replayed, "--method", "random [wide]"])
    (tmp_path / "searcher.py").write_text(SEARCHER)
    lines = run([*replayed, "--searcher", "searcher.py:Searcher", "--workers", "2"]).splitlines()
    assert lines[2].startswith("searcher.py:Searcher [wide]")
    assert lines[3].split()[:3] == ["oracle", "2.0", "2.0"]  # two side by side
    other = subprocess.run(
        [*order, "--budget", "40"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert other.returncode == 1
    assert "holds another table (budget differ)" in other.stderr
