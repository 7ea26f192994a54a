"""SIGKILL at any moment: the study that comes out is the one of a sweep that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from lrsearch.integrations.optuna import ATTEMPTS_KEY, COST_KEY, ERROR_KEY, readings_of
from lrsearch.sweeps import open_storage, open_study
from lrsearch.sweeps._lease import LEASE_KEY
from lrsearch.training import load_checkpoint

BUDGET, EVERY, TRIALS = 40, 4, 4
WHO = (LEASE_KEY, ATTEMPTS_KEY)
CALIBRATION = 1e-3  # the rate that a calibration makes its optimizer with
SWEEP = ("sweep", "task.py:task", "--storage", "sqlite:///s.db", "--seed", "8", "--trials")


def study_in(folder: Path) -> optuna.Study:
    return open_study(open_storage(f"sqlite:///{folder}/s.db", create=False), f"curve-{BUDGET}")


def content(study: optuna.Study) -> list[dict[str, Any]]:
    """Everything that a study knows of its trials, but for times and who has worked on them."""
    return [
        {
            "number": t.number,
            "state": t.state.name,
            "params": t.params,
            "values": t.values,
            "attributes": {
                n: v for n, v in t.user_attrs.items() if n not in (LEASE_KEY, ATTEMPTS_KEY)
            },
        }
        for t in study.get_trials()
    ]


def edges(study: optuna.Study) -> dict[str, Any]:
    return {n: v for n, v in study.user_attrs.items() if n.startswith("lrsearch:edge")}


def steps_of(study: optuna.Study) -> list[int]:
    return [int(t.user_attrs[COST_KEY]["steps"]) for t in study.get_trials()]


def runs_folder(folder: Path) -> Path:
    return folder / "s.db.runs" / f"curve-{BUDGET}"


def checkpoint(folder: Path, number: int) -> Path:
    return runs_folder(folder) / f"trial-{number:05d}.pt"


def trained(shell) -> list[tuple[int, float, int]]:
    return [entry for entry in shell.log() if entry[1] != CALIBRATION]


@pytest.fixture(scope="module")
def undisturbed(make_shell, tmp_path_factory) -> optuna.Study:
    shell = make_shell(tmp_path_factory.mktemp("undisturbed"))
    command = shell.run(*SWEEP, str(TRIALS))
    assert command.code == 0, command.err
    assert [s for *_, s in trained(shell)] == steps_of(study_in(shell.folder))
    return study_in(shell.folder)


def test_the_reference_has_what_is_compared(undisturbed: optuna.Study) -> None:
    found = content(undisturbed)
    assert [t["number"] for t in found] == list(range(TRIALS))
    assert [t["state"] for t in found] == ["COMPLETE"] * TRIALS
    assert steps_of(undisturbed) == [BUDGET] * TRIALS
    assert all(len(readings_of(t.user_attrs)) >= 4 for t in undisturbed.get_trials())
    assert all("edge_multiplier" in t["params"] for t in found)
    assert len(edges(undisturbed)) == 1


def test_killed_in_mid_trial_it_goes_on_from_the_checkpoint(shell, undisturbed) -> None:
    first = shell.start(*SWEEP, str(TRIALS), pace=0.03)
    shell.until(
        lambda: len(trained(shell)) == 2 and trained(shell)[1][2] >= 2 * EVERY - 2,
        "trial 1 between its first two checkpoints",
    )
    first.kill(signal.SIGKILL)
    assert first.code == -signal.SIGKILL
    left = study_in(shell.folder)
    assert [t.state.name for t in left.get_trials()] == ["COMPLETE", "RUNNING"]
    saved = load_checkpoint(checkpoint(shell.folder, 1))["step"]
    done_before = trained(shell)[-1][2]
    assert EVERY <= saved <= done_before < BUDGET
    assert done_before - saved <= EVERY

    second = shell.run(*SWEEP, str(TRIALS))
    assert second.code == 0, second.err
    assert f"trial 1 goes on from its checkpoint at step {saved}" in second.out
    mine = [steps for pid, _, steps in trained(shell) if pid == second.pid]
    assert mine == [BUDGET - saved, *steps_of(undisturbed)[2:]]
    assert not [e for e in shell.log() if e[0] == second.pid and e[1] == CALIBRATION]
    assert content(study_in(shell.folder)) == content(undisturbed)
    assert edges(study_in(shell.folder)) == edges(undisturbed)
    left = {p.name for p in runs_folder(shell.folder).iterdir() if p.suffix != ".lock"}
    assert left == {"best.pt"}


def test_killed_before_the_first_checkpoint_the_trial_begins_anew(shell, undisturbed) -> None:
    first = shell.start(*SWEEP, str(TRIALS), pace=0.0)
    shell.until(lambda: trained(shell), "the first training step")
    first.kill(signal.SIGKILL)
    number = len(study_in(shell.folder).get_trials()) - 1
    checkpoint(shell.folder, number).unlink(missing_ok=True)
    second = shell.run(*SWEEP, str(TRIALS))
    assert second.code == 0, second.err
    assert "goes on from its checkpoint" not in second.out
    mine = [s for pid, _, s in trained(shell) if pid == second.pid]
    assert mine == steps_of(undisturbed)[number:]
    assert content(study_in(shell.folder)) == content(undisturbed)


def test_killed_during_calibration_it_measures_the_same_edge(shell, undisturbed) -> None:
    first = shell.start(*SWEEP, str(TRIALS), pace=0.01, TASK_PACE_ALL="1")
    shell.until(lambda: shell.log() and shell.log()[0][2] > 30, "the second annealed run")
    first.kill(signal.SIGKILL)
    assert not trained(shell)
    assert not edges(study_in(shell.folder))
    second = shell.run(*SWEEP, str(TRIALS))
    assert second.code == 0, second.err
    assert "measured in" in second.out
    assert edges(study_in(shell.folder)) == edges(undisturbed)
    assert content(study_in(shell.folder)) == content(undisturbed)


def test_several_kills_within_one_trial_repeat_nothing(shell, undisturbed) -> None:
    saved = 0
    for at in (2 * EVERY, 5 * EVERY, 7 * EVERY):
        command = shell.start(*SWEEP, str(TRIALS), pace=0.03)
        path = checkpoint(shell.folder, 0)
        shell.until(
            lambda path=path, at=at: path.exists() and load_checkpoint(path)["step"] >= at,
            f"step {at}",
        )
        command.kill(signal.SIGKILL)
        now = load_checkpoint(path)["step"]
        (steps,) = (s for pid, _, s in trained(shell) if pid == command.pid)
        assert now - saved <= steps < now - saved + 2 * EVERY
        saved = now
    last = shell.run(*SWEEP, str(TRIALS))
    assert last.code == 0, last.err
    assert next(s for pid, _, s in trained(shell) if pid == last.pid) == BUDGET - saved
    assert content(study_in(shell.folder)) == content(undisturbed)


@pytest.mark.parametrize("turn", range(2))
def test_killed_again_and_again_at_random_moments(shell, undisturbed, turn) -> None:
    seed = time.time_ns()
    rng = random.Random(seed)
    kills = []
    for _ in range(6):
        command = shell.start(*SWEEP, str(TRIALS), pace=0.005)
        kills.append(rng.uniform(0.0, 0.8))
        time.sleep(kills[-1])
        command.kill(signal.SIGKILL)
        if command.code == 0:
            break
    last = shell.run(*SWEEP, str(TRIALS))
    assert last.code == 0, (last.err, kills)
    assert content(study_in(shell.folder)) == content(undisturbed), kills
    assert edges(study_in(shell.folder)) == edges(undisturbed), kills


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_a_message(shell, undisturbed, number) -> None:
    first = shell.start(*SWEEP, str(TRIALS), pace=0.03)
    shell.until(lambda: trained(shell) and trained(shell)[-1][2] >= 2, "two training steps")
    first.kill(number)
    assert first.code == 130
    assert "stopping after this step, with a checkpoint" in first.out
    assert "nothing is lost: the same command goes on" in first.err
    done = trained(shell)[-1][2]
    assert done < BUDGET
    assert load_checkpoint(checkpoint(shell.folder, 0))["step"] == done  # not only every tenth
    assert study_in(shell.folder).get_trials()[0].state.name == "RUNNING"

    second = shell.run(*SWEEP, str(TRIALS))
    assert second.code == 0, second.err
    assert next(s for pid, _, s in trained(shell) if pid == second.pid) == BUDGET - done
    assert content(study_in(shell.folder)) == content(undisturbed)


def test_a_signal_during_calibration_ends_it_too(shell, undisturbed) -> None:
    first = shell.start(*SWEEP, str(TRIALS), pace=0.02, TASK_PACE_ALL="1")
    shell.until(lambda: shell.log() and shell.log()[0][2] > 3, "a few steps of calibration")
    first.kill(signal.SIGINT)
    assert first.code == 130
    assert "nothing is lost" in first.err
    assert not trained(shell)
    second = shell.run(*SWEEP, str(TRIALS))
    assert second.code == 0, second.err
    assert content(study_in(shell.folder)) == content(undisturbed)


def test_a_second_signal_ends_it_at_once_and_still_loses_nothing(shell, undisturbed) -> None:
    first = shell.start(*SWEEP, str(TRIALS), pace=0.0)
    shell.until(lambda: trained(shell), "the first training step")
    shell.set_pace(first, 60.0)  # the step in work would take a minute
    time.sleep(0.3)
    os.kill(first.pid, signal.SIGINT)
    shell.until(lambda: "once more to stop at once" in first.out, "the message")
    assert first.alive()
    os.kill(first.pid, signal.SIGINT)
    assert first.wait(20.0).code == 130
    second = shell.run(*SWEEP, str(TRIALS))
    assert second.code == 0, second.err
    assert content(study_in(shell.folder)) == content(undisturbed)


def test_an_interrupted_json_sweep_prints_one_document(shell) -> None:
    command = shell.start(*SWEEP, str(TRIALS), "--json", pace=0.02)
    shell.until(lambda: trained(shell), "the first training step")
    command.kill(signal.SIGINT)
    assert command.code == 130
    assert json.loads(command.out)["error"] == "KeyboardInterrupt"


def test_two_workers_share_the_trials(shell) -> None:
    workers = [shell.start(*SWEEP, "8", pace=0.002) for _ in range(2)]
    for worker in workers:
        assert worker.wait().code == 0, worker.err
    found = study_in(shell.folder).get_trials()
    assert [t.number for t in found] == list(range(8))
    assert all(t.state.is_finished() for t in found)
    assert sorted(s for *_, s in trained(shell)) == sorted(steps_of(study_in(shell.folder)))
    assert {pid for pid, *_ in trained(shell)} == {w.pid for w in workers}
    calibrated = {pid for pid, rate, _ in shell.log() if rate == CALIBRATION}
    assert len(calibrated) == 1  # the edge is measured once
    assert len(edges(study_in(shell.folder))) == 1


def test_a_dead_workers_trial_is_taken_over_and_a_living_ones_is_not(shell, undisturbed) -> None:
    a = shell.start(*SWEEP, "3", pace=0.0)
    shell.until(lambda: trained(shell), "A in trial 0")
    shell.set_pace(a, 0.1)
    shell.until(checkpoint(shell.folder, 0).exists, "a checkpoint of A")
    b = shell.start(*SWEEP, "3", pace=0.1)
    shell.until(checkpoint(shell.folder, 1).exists, "a checkpoint of B")
    a.kill(signal.SIGKILL)
    states = [t.state.name for t in study_in(shell.folder).get_trials()]
    assert states == ["RUNNING", "RUNNING"]  # nothing in the study tells dead from alive
    saved = load_checkpoint(checkpoint(shell.folder, 0))["step"]
    shell.set_pace(b, 0.5)

    c = shell.run(*SWEEP, "3")
    assert b.alive()
    assert c.code == 0, c.err
    found = study_in(shell.folder).get_trials()
    assert [t.state.name for t in found] == ["COMPLETE", "RUNNING", "COMPLETE"]
    assert [t.user_attrs[LEASE_KEY]["pid"] for t in found] == [c.pid, b.pid, c.pid]
    mine = [s for pid, _, s in trained(shell) if pid == c.pid]
    assert mine == [BUDGET - saved, steps_of(undisturbed)[2]]

    shell.set_pace(b, 0.0)
    assert b.wait().code == 0, b.err
    found = study_in(shell.folder).get_trials()
    # The first trial is that of an undisturbed sweep; the others were proposed while one still ran.
    assert content(study_in(shell.folder))[0] == content(undisturbed)[0]
    assert [s for pid, _, s in trained(shell) if pid == b.pid] == [BUDGET]  # nobody disturbed it
    assert found[1].user_attrs[LEASE_KEY]["pid"] == b.pid


def test_a_trial_that_kills_its_process_is_given_up(shell) -> None:
    deadly = """
def evaluate(model):
    os.kill(os.getpid(), 9)
"""
    with (shell.folder / "task.py").open("a") as file:
        file.write(deadly)
    for turn in range(3):
        assert shell.run(*SWEEP, "2").code == -signal.SIGKILL
        found = study_in(shell.folder).get_trials()
        assert [t.state.name for t in found] == ["RUNNING"]
        assert [s["step"] for s in found[0].user_attrs[ATTEMPTS_KEY]] == [0, 36, 36][: turn + 1]
    # The second and the third start have come no further than the first: one more may try.
    assert shell.run(*SWEEP, "2").code == -signal.SIGKILL
    assert shell.run(*SWEEP, "2").code == -signal.SIGKILL
    first, second = study_in(shell.folder).get_trials()
    assert (first.state.name, second.state.name) == ("FAIL", "RUNNING")
    assert first.user_attrs[ERROR_KEY].startswith("its process died 3 times without coming further")
    assert not checkpoint(shell.folder, 0).exists()
