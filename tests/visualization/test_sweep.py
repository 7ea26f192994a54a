"""The picture of a sweep: drawn from the leaderboard, readable by anyone."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import matplotlib.image
import numpy as np
import optuna
import pandas as pd
import pytest

from lrsearch.exceptions import MissingExtraError
from lrsearch.schedules import Schedule
from lrsearch.search import PLAN_KEY, Plan
from lrsearch.sweeps import leaderboard, write_winner
from lrsearch.visualization import plot_sweep, save_figure

SCHEDULE = Schedule(family="cosine", peak=0.1, budget=50, warmup_steps=5)


def board(*rows: tuple[str, float | None, str | None, float | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["state", "metric", "family", "multiplier"])


FULL = board(
    ("complete", 0.2, "cosine", 1.0),
    ("complete", 0.3, "uba", 2.0),
    ("complete", 0.4, "uba", 4.0),
    ("pruned", None, "wsd", 8.0),
    ("running", None, "wsd", 3.0),
    ("fail", None, None, None),
)


def test_the_left_panel_is_the_schedule() -> None:
    left, _ = plot_sweep(FULL, SCHEDULE, "error").axes
    (line,) = left.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), np.arange(51))
    np.testing.assert_array_equal(line.get_ydata()[:50], SCHEDULE.values())
    assert "cosine" in left.get_title()
    assert "0.1" in left.get_title()
    assert (left.get_xlabel(), left.get_ylabel()) == ("optimizer step", "learning rate")


def test_what_averaged_weights_act_like_is_dashed() -> None:
    swa = Schedule("swa", 0.1, 50)
    left, _ = plot_sweep(FULL, swa, "error").axes
    _, dashed = left.get_lines()
    np.testing.assert_array_equal(dashed.get_ydata(), swa.effective_values())
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["averaged"]


def test_the_right_panel_has_every_finished_trial_and_marks_the_stopped() -> None:
    _, right = plot_sweep(FULL, SCHEDULE, "error").axes
    points = {
        (str(line.get_label()), x, y)
        for line in right.get_lines()
        if line.get_linestyle() == "None"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert points == {("cosine", 1.0, 0.2), ("uba", 2.0, 0.3), ("uba", 4.0, 0.4)}
    stopped = [line for line in right.get_lines() if list(line.get_xdata()) == [8.0, 8.0]]
    assert len(stopped) == 1
    texts = [text.get_text() for text in right.get_legend().get_texts()]
    assert sorted(texts) == ["cosine", "stopped (1)", "uba"]
    assert (right.get_xscale(), right.get_yscale(), right.get_ylabel()) == ("log", "log", "error")


def test_metrics_that_are_not_positive_get_a_linear_axis() -> None:
    rows = board(("complete", -0.2, "cosine", 1.0), ("complete", 0.0, "cosine", 2.0))
    _, right = plot_sweep(rows, SCHEDULE, "score").axes
    assert right.get_yscale() == "linear"


def test_the_file_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sweep.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(plot_sweep(FULL, SCHEDULE, "error [nats], $x"), path)
    pixels = matplotlib.image.imread(path)
    assert pixels.shape == (480, 1200, 4)
    assert pixels.min() < 0.5 < pixels.max()


def test_without_matplotlib_the_hint_is_given_and_the_schedule_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lrsearch\[viz\]'"):
        plot_sweep(FULL, SCHEDULE, "error")
    study = optuna.create_study(study_name="cifar/resnet")
    plan = Plan(
        family="linear", multiplier=1.0, alignment=1.0, edge=0.1, edge_method="known",
        peak=0.1, budget=50,
    )  # fmt: skip
    trial = study.ask()
    trial.set_user_attr(PLAN_KEY, plan.to_dict())
    study.tell(trial, 0.5)
    assert len(leaderboard(study)) == 1
    notes: list[str] = []
    files = write_winner(study, "error", tmp_path / "out", notes.append)
    assert files == {"schedule": tmp_path / "out" / "cifar-resnet.json"}
    assert Schedule.load(files["schedule"]).peak == 0.1
    assert len(notes) == 1
    assert "pip install 'lrsearch[viz]'" in notes[0]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["cifar-resnet.json"]
