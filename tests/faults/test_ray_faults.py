"""A Ray sweep, disturbed with real processes: it ends as the one that nobody disturbed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest

from lrsearch.integrations.optuna import (
    ATTEMPTS_KEY,
    ERROR_KEY,
    plan_of,
    readings_of,
    verdict_of,
)
from lrsearch.sweeps import open_storage, open_study
from lrsearch.training import load_checkpoint

pytest.importorskip("ray")
pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(600)]

BUDGET, EVERY, TRIALS = 40, 4, 4
SWEEP = ("sweep", "task.py:task", "--storage", "sqlite:///s.db", "--seed", "8", "--trials")
RAY = ("--ray", "--workers", "1", "--checkpoint-seconds", "0")
CALIBRATION = 1e-3  # the rate that a calibration makes its optimizer with
LIMIT = 200.0  # seconds for a sweep on a busy machine


def study_in(folder: Path) -> optuna.Study:
    return open_study(open_storage(f"sqlite:///{folder}/s.db", create=False), f"curve-{BUDGET}")


def content(study: optuna.Study) -> list[dict[str, Any]]:
    """What every trial was, did and came to; not who worked on it."""
    return [
        {
            "number": t.number,
            "state": t.state.name,
            "params": t.params,
            "values": t.values,
            "plan": plan_of(t.user_attrs),
            "readings": readings_of(t.user_attrs),
            "reason": v.reason if (v := verdict_of(t.user_attrs)) else None,
        }
        for t in study.get_trials()
    ]


def attempts(study: optuna.Study) -> list[list[int]]:
    """For every trial the steps at which its attempts began."""
    return [[a["step"] for a in t.user_attrs[ATTEMPTS_KEY]] for t in study.get_trials()]


def trained(shell: Any) -> list[tuple[int, float, int]]:
    return [entry for entry in shell.log() if entry[1] != CALIBRATION]


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("s.db.runs/*/ray/*/*/checkpoint_*/run.pt"))


def wait(shell: Any, true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 120
    while not true():
        command = shell.commands[-1]
        assert command.alive() or true(), command.out + command.err
        assert time.monotonic() < end, f"waited 120 s for {what}: {command.out}{command.err}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(make_shell, tmp_path_factory) -> list[dict[str, Any]]:
    """The same sweep without Ray."""
    shell = make_shell(tmp_path_factory.mktemp("undisturbed"))
    command = shell.run(*SWEEP, str(TRIALS))
    assert command.code == 0, command.err
    return content(study_in(shell.folder))


@pytest.fixture
def shell(make_shell, tmp_path) -> Iterator[Any]:
    made = make_shell(tmp_path)
    yield made
    for command in made.commands:
        command.kill()


def test_a_ray_sweep_is_the_local_sweep(shell, undisturbed) -> None:
    command = shell.start(*SWEEP, str(TRIALS), *RAY).wait(LIMIT)
    assert command.code == 0, command.err
    assert content(study_in(shell.folder)) == undisturbed
    assert attempts(study_in(shell.folder)) == [[0]] * TRIALS
    assert [steps for *_, steps in trained(shell)] == [
        BUDGET if t["state"] == "COMPLETE" else t["readings"][-1].step for t in undisturbed
    ]


def test_a_worker_killed_in_mid_trial_goes_on_from_the_checkpoint(shell, undisturbed) -> None:
    command = shell.start(*SWEEP, str(TRIALS), *RAY, pace=0.1)
    wait(shell, lambda: checkpoints(shell.folder), "a checkpoint")
    wait(shell, lambda: trained(shell)[-1][2] >= 2 * EVERY + 1, "the second one")
    pid, rate, _ = trained(shell)[-1]
    os.kill(pid, signal.SIGKILL)
    shell.set_pace(command, 0.0)
    assert command.wait(LIMIT).code == 0, command.err
    study = study_in(shell.folder)
    assert content(study) == undisturbed
    assert len(attempts(study)[0]) == 2
    again = attempts(study)[0][1]
    assert again >= EVERY
    assert attempts(study)[1:] == [[0]] * (TRIALS - 1)
    runs = [steps for _, r, steps in trained(shell) if r == rate]
    assert runs[1] == BUDGET - again  # nothing beyond the checkpoint is done again
    assert "died: Tune starts it again" in command.out
    assert not checkpoints(shell.folder)


def test_a_driver_killed_in_mid_trial_goes_on_with_the_same_command(shell, undisturbed) -> None:
    first = shell.start(*SWEEP, str(TRIALS), *RAY, pace=0.1)
    wait(shell, lambda: len(trained(shell)) == 2, "the second trial")
    wait(shell, lambda: trained(shell)[-1][2] >= 2 * EVERY + 1, "its second checkpoint")
    first.kill(signal.SIGKILL)
    assert [t.state.name for t in study_in(shell.folder).get_trials()] == ["COMPLETE", "RUNNING"]
    second = shell.start(*SWEEP, str(TRIALS), *RAY).wait(LIMIT)
    assert second.code == 0, second.err
    study = study_in(shell.folder)
    assert content(study) == undisturbed
    assert len(attempts(study)[1]) == 2
    assert attempts(study)[1][1] >= EVERY
    assert not checkpoints(shell.folder)


def test_an_interrupt_ends_it_and_the_same_command_goes_on(shell, undisturbed) -> None:
    first = shell.start(*SWEEP, str(TRIALS), *RAY, pace=0.1)
    wait(shell, lambda: checkpoints(shell.folder), "a checkpoint")
    os.kill(first.pid, signal.SIGINT)
    assert first.wait(60).code == 130
    assert "nothing is lost" in first.err
    second = shell.start(*SWEEP, str(TRIALS), *RAY).wait(LIMIT)
    assert second.code == 0, second.err
    assert content(study_in(shell.folder)) == undisturbed


def test_a_truncated_checkpoint_costs_its_run_and_no_more(shell, undisturbed) -> None:
    first = shell.start(*SWEEP, str(TRIALS), *RAY, pace=0.1)
    wait(shell, lambda: checkpoints(shell.folder), "a checkpoint")
    wait(shell, lambda: trained(shell)[-1][2] >= 2 * EVERY + 1, "the second one")
    first.kill(signal.SIGKILL)
    for path in checkpoints(shell.folder):
        os.truncate(path, path.stat().st_size // 2)
    second = shell.start(*SWEEP, str(TRIALS), *RAY).wait(LIMIT)
    assert second.code == 0, second.err
    study = study_in(shell.folder)
    assert content(study) == undisturbed
    assert attempts(study)[0] == [0, 0]


def test_a_hung_trial_is_killed_and_goes_on(shell, undisturbed) -> None:
    command = shell.start(*SWEEP, str(TRIALS), *RAY, "--patience", "6", pace=0.1)
    wait(shell, lambda: checkpoints(shell.folder), "a checkpoint")
    pid = trained(shell)[-1][0]
    os.kill(pid, signal.SIGSTOP)
    shell.set_pace(command, 0.0)
    try:
        assert command.wait(LIMIT).code == 0, command.err
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    study = study_in(shell.folder)
    assert content(study) == undisturbed
    # A machine that is busy enough is silent for six seconds as well: then it is killed once more.
    assert len(attempts(study)[0]) >= 2


FAULTY = """
import math, os, signal
from task import task as curve, build, nn, optimizer

def faulty(kind):
    def loss(model, batch):
        rate = RATES.get(id(model), 0.0)
        value = nn.functional.mse_loss(model(batch[0]), batch[1])
        if rate > LIMIT:
            if kind == "nan":
                return value * math.nan
            if kind == "raises":
                raise KeyError("a column")
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory ends
        return value
    def made(model, rate):
        if rate != 1e-3:
            RATES[id(model)] = rate
        return optimizer(model, rate)
    return curve(name="curve", loss=loss, optimizer=made)

RATES, LIMIT = {}, 0.0
"""


@pytest.mark.parametrize("kind", ["nan", "raises", "dies"])
def test_bad_trials_end_with_their_reason_and_the_rest_goes_on(
    shell, undisturbed, kind: str
) -> None:
    rates = sorted(t["plan"].peak for t in undisturbed)
    text = FAULTY.replace("LIMIT = {}, 0.0", f"LIMIT = {{}}, {(rates[-2] + rates[-1]) / 2}")
    (shell.folder / "faulty.py").write_text(f"{text}\ntask = faulty({kind!r})\n")
    # All trials know the same edge: it is measured by the sound task.
    first = shell.run(*SWEEP, "1")
    assert first.code == 0, first.err
    words = ["faulty.py:task" if w == "task.py:task" else w for w in SWEEP]
    command = shell.start(*words, str(TRIALS), *RAY).wait(LIMIT)
    assert command.code == 0, command.err
    found = study_in(shell.folder).get_trials()
    assert [t.number for t in found] == list(range(TRIALS))
    assert all(t.state.is_finished() for t in found)
    bad = [t for t in found if plan_of(t.user_attrs).peak > (rates[-2] + rates[-1]) / 2]
    assert bad
    for trial in bad:
        if kind == "nan":
            assert trial.state.name == "PRUNED"
            assert verdict_of(trial.user_attrs).regime == "diverged"
        elif kind == "raises":
            assert trial.state.name == "FAIL"
            assert trial.user_attrs[ERROR_KEY] == "KeyError: 'a column'"
        else:
            assert trial.state.name == "FAIL"
            assert "died" in trial.user_attrs[ERROR_KEY]
    good = [t for t in found if t not in bad]
    assert any(t.state.name == "COMPLETE" for t in good)


def test_loading_a_checkpoint_is_what_the_tests_above_rely_on(shell) -> None:
    command = shell.start(*SWEEP, "1", *RAY, pace=0.1)
    wait(shell, lambda: checkpoints(shell.folder), "a checkpoint")
    assert load_checkpoint(checkpoints(shell.folder)[-1])["step"] % EVERY == 0
    command.kill()
