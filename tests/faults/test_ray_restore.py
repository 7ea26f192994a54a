"""A user's own Tuner, its driver killed: `Tuner.restore` has records and ASHA's rungs intact."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest

from lrsearch.integrations.optuna import ATTEMPTS_KEY, plan_of, verdict_of

pytest.importorskip("ray")
pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(600)]

SCENE = Path(__file__).with_name("restore_scene.py")
ROOT = Path(__file__).parents[2]
BUDGET, TRIALS, GRACE = 16, 6, 4


def start(folder: Path, what: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with (folder / f"{what}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, str(SCENE), str(folder), what],
            # Tune takes a snapshot after every result, not now and then: what is tested is the
            # restoring, not how much is lost.
            env=os.environ | {"PYTHONPATH": path, "TUNE_GLOBAL_CHECKPOINT_S": "0"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def steps(folder: Path) -> list[tuple[int, int]]:
    path = folder / "steps"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(a), int(b)) for a, b in (line.split() for line in lines)]


def whole(experiment: Path) -> bool:
    """Whether Tune's snapshot of the experiment is there and no file of it is cut off."""
    written = {path.name: path.read_bytes() for path in experiment.glob("*state-*")}
    if not any(name.startswith("experiment_state") for name in written):
        return False
    # The experiment's is JSON, the searcher's are pickles, whatever they are called.
    return all(text.endswith((b"}", b".")) for text in written.values())


def test_restored_after_a_kill_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "pace").write_text("0.3")
    first = start(tmp_path, "begin")
    end = time.monotonic() + 240
    while len({n for n, _ in steps(tmp_path)}) < 4:  # some have ended, some run
        assert first.poll() is None, (tmp_path / "begin.log").read_text()
        assert time.monotonic() < end
        time.sleep(0.05)
    # Tune overwrites its snapshot in place, and one that is cut off is Tune's own loss
    # (docs/cluster.md): the driver is held still, and killed where its snapshot is whole.
    time.sleep(0.5)
    while True:
        os.killpg(first.pid, signal.SIGSTOP)
        if whole(tmp_path / "runs" / "scene"):
            break
        os.killpg(first.pid, signal.SIGCONT)
        assert time.monotonic() < end, "Tune never wrote a whole snapshot"
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = Counter(n for n, _ in steps(tmp_path))
    (tmp_path / "pace").write_text("0.0")
    second = start(tmp_path, "restore")
    assert second.wait(200) == 0, (tmp_path / "restore.log").read_text()
    done = json.loads((tmp_path / "restore.json").read_text())

    study = optuna.load_study(study_name="scene", storage=f"sqlite:///{tmp_path}/s.db")
    found = study.get_trials()
    assert [t.number for t in found] == list(range(TRIALS))
    assert {t.state.name for t in found} <= {"COMPLETE", "PRUNED"}
    assert len(done["trials"]) == TRIALS
    for trial in found:
        mine = [step for n, step in steps(tmp_path) if n == trial.number]
        ended = BUDGET if trial.state.name == "COMPLETE" else verdict_of(trial.user_attrs).step
        assert mine[-1] == ended
        again = len(mine) - len(set(mine))
        assert again <= 2  # what came after the last checkpoint that Tune knew
        starts = trial.user_attrs[ATTEMPTS_KEY]
        assert len(starts) <= 2
        assert (len(starts) == 2) >= (again > 0)
    assert any(before[n] == BUDGET or before[n] == GRACE for n in before)  # the kill was in between

    # ASHA has every trial that came so far in its rungs, those from before the kill too.
    by_milestone = {r.pop("milestone"): r for r in done["rungs"]}
    for milestone in (GRACE, 2 * GRACE):
        passed = {n for n, step in steps(tmp_path) if step >= milestone}
        ids = {t["id"] for t in done["trials"] if t["step"] >= milestone}
        assert set(by_milestone[milestone]) == ids
        assert len(ids) == len(passed)
    for trial in found:
        if trial.state.name == "COMPLETE":
            peak = plan_of(trial.user_attrs).peak
            assert trial.value == pytest.approx(abs(peak - 0.1) + 1 / BUDGET)
