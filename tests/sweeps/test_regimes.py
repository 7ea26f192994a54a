"""A regime map of a real task: nothing trained twice, and clear words for what goes wrong."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrsearch.exceptions import (
    CalibrationError,
    DocumentError,
    StudyMismatchError,
    TaskError,
    UnsupportedError,
)
from lrsearch.stability import Edge, FixedRate, regime_map
from lrsearch.sweeps import MappedRegimes, Silent, map_regimes, regime_sentences, write_regimes
from lrsearch.tasks import digits
from lrsearch.training import Task
from lrsearch.visualization import plot_regimes

BUDGET = 60
EDGE = Edge.known(0.2)


def small() -> Task:
    return digits(width=32)


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def mapped():
    return map_regimes(small(), budget=BUDGET, edge=EDGE, resolution=1.0)


def test_the_regimes_of_digits(mapped) -> None:
    """A rate a thousand times too small trains nothing, one that is too large neither."""
    found = mapped.regimes
    assert 0.02 < found.convergence.rate < found.divergence.rate < 20
    assert found.divergence.low < found.divergence.high < math.inf
    hot = [run for run in found.runs if run.rate >= found.divergence.high]
    assert hot
    assert all(run.diverged for run in hot)
    below = [run for run in found.runs if run.rate <= found.convergence.low]
    levels = [run.level for run in below]
    assert levels == sorted(levels, reverse=True)
    assert mapped.cost == found.cost  # the edge was given


def test_interrupted_at_any_time_it_is_the_same_map(mapped, tmp_path: Path) -> None:
    for stop in (0, 30, 150):  # steps until the next interruption; the last start ends it
        steps: list[int] = []

        class Counting(Notes):
            def step(self, number: int, step: int, seen: list[int] = steps) -> None:
                seen.append(step)

        with pytest.raises(KeyboardInterrupt):
            map_regimes(
                small(),
                budget=BUDGET,
                edge=EDGE,
                resolution=1.0,
                folder=tmp_path,
                listener=Counting(),
                interrupted=lambda seen=steps, stop=stop: len(seen) > stop,
            )
    again = map_regimes(small(), budget=BUDGET, resolution=1.0, folder=tmp_path)
    assert json.dumps(again.to_dict()) == json.dumps(mapped.to_dict())
    assert [p.name for p in tmp_path.iterdir()] == ["regimes-digits-width32-60.state.json"]
    quiet = Notes()
    map_regimes(small(), budget=BUDGET, resolution=1.0, folder=tmp_path, listener=quiet)
    assert quiet.lines == []  # nothing left to train
    finer = map_regimes(small(), budget=BUDGET, resolution=0.5, folder=tmp_path)
    assert {r.rate for r in mapped.regimes.runs} < {r.rate for r in finer.regimes.runs}


def test_another_map_in_the_folder(tmp_path: Path) -> None:
    map_regimes(small(), budget=BUDGET, edge=EDGE, resolution=1.0, folder=tmp_path)
    with pytest.raises(StudyMismatchError, match=r"edge of 0\.2, not 0\.3"):
        map_regimes(small(), budget=BUDGET, edge=Edge.known(0.3), folder=tmp_path)
    with pytest.raises(StudyMismatchError, match="'seed': 0"):
        map_regimes(small(), budget=BUDGET, seed=1, folder=tmp_path)
    (tmp_path / "regimes-digits-width32-60.state.json").write_text("{")
    with pytest.raises(DocumentError, match="Delete it"):
        map_regimes(small(), budget=BUDGET, folder=tmp_path)


def test_a_run_is_stored_before_its_checkpoint_goes(tmp_path: Path, monkeypatch) -> None:
    """Killed right after a run, before it is stored: it goes on from its checkpoint."""

    def killed(path, document) -> None:
        if document["runs"]:
            raise KeyboardInterrupt

    arguments = {"budget": BUDGET, "edge": EDGE, "resolution": 1.0, "folder": tmp_path}
    monkeypatch.setattr("lrsearch.sweeps._regimes.CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("lrsearch.sweeps._regimes.remember", killed)
        with pytest.raises(KeyboardInterrupt):
            map_regimes(small(), **arguments)
    steps: list[int] = []

    class Counting(Silent):
        def step(self, number: int, step: int) -> None:
            steps.append(step)

    map_regimes(small(), **arguments, listener=Counting())
    assert steps[0] > BUDGET // 2
    assert [p.name for p in tmp_path.iterdir()] == ["regimes-digits-width32-60.state.json"]


def test_a_changed_task_of_the_same_name_is_noticed(tmp_path: Path) -> None:
    arguments = {"budget": BUDGET, "edge": EDGE, "folder": tmp_path}
    map_regimes(small(), resolution=1.0, **arguments)
    changed = replace(digits(width=48), name=small().name)
    with pytest.raises(StudyMismatchError, match="give the changed task another name"):
        map_regimes(changed, resolution=0.5, **arguments)
    assert [p.name for p in tmp_path.iterdir()] == ["regimes-digits-width32-60.state.json"]


def test_what_has_no_end_is_said_so() -> None:
    levels = {0.1: 0.5, 0.2: 0.3, 0.4: 0.6}
    runs = [FixedRate(rate=r, start=2.3, losses=(v,), annealed=v) for r, v in levels.items()]
    found = MappedRegimes(task="t", budget=9, seed=0, edge=EDGE, regimes=regime_map(runs))
    text = "\n".join(regime_sentences(found))
    assert "2|3  not found: up to 0.4 no large rate diverges" in text
    figure = plot_regimes(found.regimes, "validation loss")
    assert "3" not in {note.text for note in figure.layout.annotations}
    json.dumps(found.to_dict(), allow_nan=False)


def test_every_run_is_told_from_its_first_step_to_its_end() -> None:
    class Bars(Silent):
        def __init__(self) -> None:
            self.said: list[tuple[Any, ...]] = []

        def work(self, number: int, title: str, steps: int) -> None:
            self.said.append(("work", number, title.split(":")[0], steps))

        def step(self, number: int, step: int) -> None:
            self.said.append(("step", number, step))

        def done(self, number: int) -> None:
            self.said.append(("done", number))

    bars = Bars()
    found = map_regimes(small(), budget=BUDGET, edge=EDGE, resolution=1.0, listener=bars)
    for number in range(len(found.regimes.runs)):
        own = [line for line in bars.said if line[1] == number]
        assert own[0] == ("work", number, f"run {number + 1}", BUDGET)
        assert own[-1] == ("done", number)
        assert [line[2] for line in own[1:-1]] == list(range(1, len(own) - 1))


def test_files_and_sentences(mapped, tmp_path: Path) -> None:
    files = write_regimes(mapped, tmp_path)
    document = json.loads(files["map"].read_text())
    assert document["edge"]["learning_rate"] == 0.2
    assert {run["regime"] for run in document["runs"]} >= {"1", "3"}
    text = "\n".join(regime_sentences(mapped))
    assert "1|2" in text
    assert "2|3" in text
    assert f"cost {mapped.cost:.1f} full runs" in text


def test_the_figure_marks_the_regimes(mapped) -> None:
    figure = plot_regimes(mapped.regimes, "validation loss")
    assert {"1", "3"} <= {note.text for note in figure.layout.annotations}
    assert figure.layout.yaxis2.title.text == "validation loss"
    lines = {trace.name: trace for trace in figure.data}
    levels = [(run.rate, run.loss) for run in mapped.regimes.runs if math.isfinite(run.loss)]
    drawn = lines["training loss before annealing"]
    assert list(zip(drawn.x, drawn.y, strict=True)) == levels
    annealed = [run.annealed for run in mapped.regimes.runs if math.isfinite(run.annealed)]
    assert list(lines["validation loss annealed"].y) == annealed


def test_what_cannot_be_mapped_is_said() -> None:
    with pytest.raises(UnsupportedError, match="20 steps or more"):
        map_regimes(small(), budget=5, edge=EDGE)
    with pytest.raises(UnsupportedError, match="resolution"):
        map_regimes(small(), budget=BUDGET, edge=EDGE, resolution=0.3)
    task = small()
    never = replace(task, loss=lambda model, batch: task.loss(model, batch) * math.nan)
    with pytest.raises(CalibrationError, match="no rate"):
        map_regimes(never, budget=20, edge=EDGE)
    negative = replace(task, loss=lambda model, batch: task.loss(model, batch) - 10)
    with pytest.raises(TaskError, match="positive"):
        map_regimes(negative, budget=BUDGET, edge=EDGE)

    below = replace(task, loss=lambda model, batch: task.loss(model, batch) - 2)  # 0.3 at the start
    with pytest.raises(TaskError, match=r"the last ones at a rate of 0\.05 -"):
        map_regimes(below, budget=BUDGET, edge=EDGE)

    def broken(model, batch):
        raise OSError("the disk is gone")

    with pytest.raises(TaskError, match="the disk is gone"):
        map_regimes(replace(task, loss=broken), budget=BUDGET, edge=EDGE)


def test_a_metric_that_is_large_when_good(mapped) -> None:
    task = small()
    turned = replace(task, evaluate=lambda model: -task.evaluate(model), direction="maximize")
    found = map_regimes(turned, budget=BUDGET, edge=EDGE, resolution=1.0)
    assert found.regimes.good == mapped.regimes.good
    assert found.regimes.best.rate == mapped.regimes.best.rate
