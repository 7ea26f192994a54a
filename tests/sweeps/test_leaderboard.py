"""The study as a table and as a document."""

from __future__ import annotations

import json
import math

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from lrsearch.integrations.optuna import ERROR_KEY, VERDICT_KEY
from lrsearch.search import PLAN_KEY, Plan
from lrsearch.stability import Verdict
from lrsearch.sweeps import leaderboard, schedule_of, summary, table_of, total_cost
from lrsearch.sweeps._leaderboard import COLUMNS
from lrsearch.sweeps._trial import COST_KEY

PEAK = 1.23456789012345e-5  # ten decimals would cut it short


def plan(multiplier: float = 1.0) -> Plan:
    return Plan(
        family="wsd",
        parameters={"cooldown": 0.25, "cooldown_shape": "linear"},
        multiplier=multiplier,
        alignment=0.5,
        edge=2 * PEAK,
        edge_method="known",
        peak=multiplier * PEAK,
        budget=100,
        warmup_steps=5,
    )


@pytest.fixture(params=["minimize", "maximize"])
def study(request) -> optuna.Study:
    made = optuna.create_study(direction=request.param, study_name="s")
    for value in (0.3, 0.1, 0.2):
        trial = made.ask()
        trial.set_user_attr(PLAN_KEY, plan(multiplier=value * 10).to_dict())
        trial.set_user_attr(COST_KEY, {"steps": 100.0, "watch": 20.0})
        made.tell(trial, value)
    stopped = made.ask()
    stopped.set_user_attr(PLAN_KEY, plan().to_dict())
    stopped.set_user_attr(COST_KEY, {"steps": 25.0, "watch": 5.0})
    verdict = Verdict(stop=True, regime="dead", side="hot", step=25, reason="dead: [red] nothing")
    stopped.set_user_attr(VERDICT_KEY, verdict.to_dict())
    made.tell(stopped, state=TrialState.PRUNED)
    made.ask()  # running
    failed = made.ask()
    failed.set_user_attr(ERROR_KEY, "OSError: no data")
    made.tell(failed, state=TrialState.FAIL)
    bare = made.ask()
    made.tell(bare, state=TrialState.PRUNED)
    made.enqueue_trial({})
    return made


def test_best_first_then_stopped_running_and_failed(study: optuna.Study) -> None:
    board = leaderboard(study)
    assert list(board.columns) == COLUMNS
    best_first = [1, 2, 0] if study.direction.name == "MINIMIZE" else [0, 2, 1]
    assert board["trial"].tolist() == [*best_first, 3, 6, 4, 5]  # what waits has not begun
    assert board["state"].tolist() == ["complete"] * 3 + ["pruned"] * 2 + ["running", "fail"]
    assert board["reason"].tolist() == [
        *["finished"] * 3,
        "dead: [red] nothing",
        "stopped by the study's pruner",
        "running, or interrupted; last reading at step 0",
        "OSError: no data",
    ]
    row = board[board["trial"] == 3].iloc[0]
    assert (row["family"], row["shape"]) == ("wsd", "cooldown=0.25 cooldown_shape=linear")
    assert (row["multiplier"], row["alignment"], row["edge"]) == (1.0, 0.5, 2 * PEAK)
    assert (row["peak"], row["steps"], row["cost"]) == (PEAK, 25, 0.3)
    assert total_cost(study) == pytest.approx(3 * 1.2 + 0.3)


def test_an_empty_study_has_an_empty_table() -> None:
    study = optuna.create_study(study_name="empty")
    assert leaderboard(study).empty
    assert list(leaderboard(study).columns) == COLUMNS
    assert summary(study) == {"study": "empty", "best": None, "cost": 0.0, "leaderboard": []}


def test_the_document_is_strict_json_with_every_digit(study: optuna.Study) -> None:
    document = json.loads(json.dumps(summary(study), allow_nan=False))
    rows = {row["trial"]: row for row in document["leaderboard"]}
    assert rows[3]["peak"] == PEAK
    assert rows[4]["peak"] is None
    assert rows[3]["metric"] is None
    assert rows[5] | {"reason": "", "cost": 0} == dict.fromkeys(COLUMNS) | {
        "trial": 5, "state": "fail", "reason": "", "cost": 0, "steps": 0,
    }  # fmt: skip
    best = 1 if study.direction.name == "MINIMIZE" else 0
    assert document["best"]["provenance"]["trial"] == best
    assert document["best"]["peak"] == rows[best]["peak"]


def test_the_table_shows_every_word_of_the_user(study: optuna.Study) -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table_of(leaderboard(study), "error [nats]"))
    console.file.close()
    text = console.export_text()
    assert "error [nats]" in text
    assert "dead: [red] nothing" in text
    assert "1.235e-05" in text
    assert "OSError: no data" in text
    assert len(text.splitlines()) == 1 + 7


def test_an_error_that_names_its_storage_shows_no_password() -> None:
    made = optuna.create_study()
    failed = made.ask()
    failed.set_user_attr(ERROR_KEY, "OperationalError: postgresql://me:sesame@host/db is gone")
    made.tell(failed, state=TrialState.FAIL)
    (reason,) = leaderboard(made)["reason"]
    assert reason == "OperationalError: postgresql://me:***@host/db is gone"


def test_only_the_first_rows(study: optuna.Study) -> None:
    assert table_of(leaderboard(study), "error", top=2).row_count == 2
    assert table_of(leaderboard(study), "error").row_count == 7


def test_the_schedule_of_any_trial_that_has_one(study: optuna.Study) -> None:
    assert schedule_of(study, 2).peak == pytest.approx(2 * PEAK)
    assert schedule_of(study, 3).provenance["trial"] == 3
    best = 0.1 if study.direction.name == "MINIMIZE" else 0.3
    assert math.isclose(schedule_of(study, None).provenance["metric"], best)
    with pytest.raises(Exception, match="has no trial 99; its numbers end at 7"):
        schedule_of(study, 99)
    with pytest.raises(Exception, match="trial 5 of study 's' has no schedule"):
        schedule_of(study, 5)
