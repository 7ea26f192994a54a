"""A Tune trial that spans two gloo processes: same readings, stopped in lock-step, no deadlock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from lrsearch.integrations.optuna import ATTEMPTS_KEY, readings_of, verdict_of

pytest.importorskip("ray")
pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(600)]

SCENE = Path(__file__).with_name("ddp_scene.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[optuna.Study, dict[str, Any]]:
    """Three trials: one runs to its end, one is lost half way, one is resumed after a kill."""
    folder = tmp_path_factory.mktemp("ddp")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(SCENE), str(folder)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    study = optuna.load_study(study_name="ddp", storage=f"sqlite:///{folder}/s.db")
    ranks = {p.stem: json.loads(p.read_text()) for p in folder.glob("*-*.json")}
    return study, ranks


def test_every_trial_has_ended_as_it_should(outcome) -> None:
    study, _ = outcome
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE", "PRUNED"]
    assert verdict_of(study.get_trials()[1].user_attrs).regime == "diverged"
    assert "not finite" in verdict_of(study.get_trials()[1].user_attrs).reason


def test_both_ranks_have_the_same_readings_edge_and_end(outcome) -> None:
    study, ranks = outcome
    for trial in study.get_trials():
        first, second = (ranks[f"{trial.number}-{rank}"] for rank in (0, 1))
        assert first == second
        assert [r["step"] for r in first["readings"]] == [
            r.step for r in readings_of(trial.user_attrs)
        ]
    assert ranks["0-0"]["steps"] == 40
    assert 20 <= ranks["1-0"]["steps"] < 40


def test_a_rank_that_is_killed_costs_what_came_after_the_checkpoint(outcome) -> None:
    study, _ = outcome
    starts = [a["step"] for a in study.get_trials()[0].user_attrs[ATTEMPTS_KEY]]
    assert starts == [0, 10]
