"""Fresh processes: the same seed, one storage, one edge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from lrsearch import EdgeSampler, ScheduleSpace
from lrsearch.integrations.optuna import SPACE_KEY
from lrsearch.sweeps import open_storage

WORKER = Path(__file__).with_name("worker.py")
ROOT = Path(__file__).parents[3]
SPACE = ScheduleSpace(budget=60)


def start(task: str, url: str = "", seed: int = 0, trials: int = 0, partners: int = 1) -> Any:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(WORKER), task, url, str(seed), str(trials), str(partners)],
        env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": str(seed + trials)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: Any) -> Any:
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.distributed
@pytest.mark.parametrize("scheme", ["sqlite", "journal"])
def test_two_processes_share_a_study(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}:///{tmp_path / 'study'}"
    storage = open_storage(url, create=True)
    optuna.create_study(storage=storage, study_name="shared")
    workers = [start("search", url, seed=7, trials=6, partners=2) for _ in range(2)]
    for worker in workers:
        result(worker)
    study = optuna.load_study(storage=storage, study_name="shared")
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 12
    assert sorted(t.user_attrs["pid"] for t in study.trials) == sorted(
        worker.pid for worker in workers for _ in range(6)
    )
    # The first two really ran side by side, and no two workers tried the same.
    first, second = sorted(study.trials, key=lambda t: t.datetime_start)[:2]
    assert second.datetime_start < first.datetime_complete
    assert len({json.dumps(t.params, sort_keys=True) for t in study.trials}) == 12
    assert study.user_attrs[SPACE_KEY] == json.loads(json.dumps(SPACE.fingerprint()))


@pytest.mark.distributed
def test_a_seed_gives_the_same_study_in_another_process() -> None:
    workers = [start("search", seed=3, trials=n) for n in (14, 9)]  # other hash seeds as well
    long, short = map(result, workers)
    assert len(long) == 14
    assert long[:9] == short
    here = optuna.create_study(sampler=EdgeSampler(SPACE, seed=3))
    trial = here.ask()
    trial.suggest_int("width", 1, 64)
    SPACE.suggest(trial, 0.1)
    assert trial.params == long[0]


@pytest.mark.distributed
def test_another_process_reads_the_edge_instead_of_measuring_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    first = result(start("measure", url))
    assert first["calls"] > 100
    assert first["cost"] > 50
    second = result(start("measure", url))
    assert second == first | {"calls": 0}
