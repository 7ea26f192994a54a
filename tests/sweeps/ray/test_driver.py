"""One Ray driver a study: the lock on this machine, the lease on another."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

pytest.importorskip("ray")

from lrsearch.exceptions import StudyMismatchError
from lrsearch.sweeps._lease import LIFE
from lrsearch.sweeps.ray import _driver as driver_module
from lrsearch.sweeps.ray._driver import DRIVER_KEY, driving

HERE = socket.gethostname()


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(study_name="mine")


def leased(study: optuna.Study, **lease: Any) -> None:
    plain = {"host": "elsewhere", "pid": 1, "token": "x", "expires": time.time() + 100}
    study.set_user_attr(DRIVER_KEY, plain | lease)


def until_leased(study: optuna.Study) -> dict[str, Any]:
    end = time.monotonic() + 60
    while study.user_attrs.get(DRIVER_KEY) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    return study.user_attrs[DRIVER_KEY]


def test_it_leaves_its_lease_while_it_drives_and_none_after(study, tmp_path: Path) -> None:
    with driving(study, tmp_path):
        found = until_leased(study)
        assert (found["host"], found["pid"]) == (HERE, os.getpid())
        assert 0 < found["expires"] - time.time() <= LIFE
    assert study.user_attrs[DRIVER_KEY] is None
    with driving(study, tmp_path):  # and another one may
        pass


def test_the_lease_is_renewed(study, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(driver_module, "RENEWAL", 0.01)
    with driving(study, tmp_path):
        first = until_leased(study)
        end = time.monotonic() + 60
        while study.user_attrs[DRIVER_KEY]["expires"] == first["expires"]:
            assert time.monotonic() < end


def test_a_second_driver_on_this_machine_is_refused(study, tmp_path: Path) -> None:
    with driving(study, tmp_path):
        words = r"another Ray sweep drives study 'mine' on this machine"
        with pytest.raises(StudyMismatchError, match=words):
            with driving(study, tmp_path):
                raise AssertionError("two drivers")
        assert until_leased(study)["pid"] == os.getpid()  # the first one's lease stands


def test_a_driver_on_another_machine_is_waited_for_until_its_lease_ends(study, tmp_path) -> None:
    leased(study)
    with pytest.raises(StudyMismatchError, match=r"on elsewhere: .* if it died, for (99|100) s"):
        with driving(study, tmp_path):
            raise AssertionError("two drivers")
    leased(study, expires=time.time() - 1)
    with driving(study, tmp_path):
        pass


@pytest.mark.parametrize("alive", [True, False])
def test_a_driver_with_its_files_elsewhere_is_refused_while_it_lives(
    study, tmp_path, alive
) -> None:
    """On a server's storage, from another folder of this machine: no lock is shared."""
    with subprocess.Popen(["sleep", "100" if alive else "0"]) as process:
        if not alive:
            process.wait()
        leased(study, host=HERE, pid=process.pid)
        try:
            with driving(study, tmp_path):
                refused = False
        except StudyMismatchError:
            refused = True
        process.kill()
    assert refused is alive


def test_a_storage_that_fails_for_a_moment_does_not_end_the_sweep(
    study, tmp_path, monkeypatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(study, "set_user_attr", fail)
        with driving(study, tmp_path):
            pass
    with driving(study, tmp_path):  # the lock is free again
        assert (tmp_path / "driver.lock").exists()
        with pytest.raises(StudyMismatchError), driving(study, tmp_path):
            pass
