"""A storage that fails before it writes, after it has written, for a while, or for good."""

from __future__ import annotations

import logging
import pickle
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.exceptions import (
    DuplicatedStudyError,
    StorageInternalError,
    UpdateFinishedTrialError,
)
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage, get_storage
from optuna.storages._heartbeat import BaseHeartbeat, is_heartbeat_enabled
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import (
    DataError,
    IntegrityError,
    OperationalError,
    PendingRollbackError,
    ProgrammingError,
)

from lrsearch.sweeps import PatientStorage
from lrsearch.sweeps import _patient as module
from lrsearch.sweeps._patient import first_line, unreachable


def lost(what: str = "server closed the connection") -> StorageInternalError:
    """What Optuna raises when a database is gone."""
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = OperationalError("UPDATE ...", {}, Exception(what))
    return error


class Faulty:
    """Passes on to another storage, and fails in the calls it is told to."""

    def __init__(self, inner: BaseStorage) -> None:
        self.inner = inner
        self.before: dict[str, list[Exception]] = {}
        self.after: dict[str, list[Exception]] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            for errors, act in ((self.before, False), (self.after, True)):
                if errors.get(name):
                    if act:
                        method(*arguments, **options)
                    raise errors[name].pop(0)
            return method(*arguments, **options)

        return call


@pytest.fixture(params=["memory", "sqlite"])
def faulty(request, tmp_path: Path) -> Faulty:
    if request.param == "memory":
        return Faulty(InMemoryStorage())
    return Faulty(get_storage(RDBStorage(f"sqlite:///{tmp_path}/s.db")))


@pytest.fixture
def storage(faulty: Faulty, monkeypatch) -> PatientStorage:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    return PatientStorage(faulty)  # type: ignore[arg-type]


@pytest.fixture
def study(storage: PatientStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="s")


def test_every_method_of_optunas_storages_is_patient() -> None:
    plain = {"check_trial_is_updatable", "get_failed_trial_callback"}  # neither asks the storage
    for base in (BaseStorage, BaseHeartbeat):
        for name, member in vars(base).items():
            if callable(member) and not name.startswith("__") and name not in plain:
                assert name in vars(PatientStorage), name


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_study_comes_out_as_if_nothing_had_been(
    study: optuna.Study, faulty: Faulty, when: str, times: int
) -> None:
    writes = ["create_new_trial", "set_trial_param", "set_trial_user_attr", "set_study_user_attr"]
    writes += ["set_trial_intermediate_value", "set_trial_state_values", "set_trial_system_attr"]
    getattr(faulty, when).update({name: [lost()] * times for name in (*writes, "get_trial")})
    study.set_user_attr("known", 1)
    trial = study.ask()
    x = trial.suggest_float("x", 0.0, 1.0)
    trial.set_user_attr("a", [1])
    trial.report(0.5, 1)
    study.tell(trial, 0.25)
    faulty.before.clear(), faulty.after.clear()
    (found,) = study.get_trials()
    assert (found.number, found.state, found.values) == (0, TrialState.COMPLETE, [0.25])
    assert (found.params, found.user_attrs) == ({"x": x}, {"a": [1]})
    assert found.intermediate_values == {1: 0.5}
    assert study.user_attrs == {"known": 1}
    assert [study.ask().number for _ in range(2)] == [1, 2]


def test_a_server_that_was_begun_again_knows_a_trial_it_has_not_listed(tmp_path: Path) -> None:
    """Between a trial's creation and its first parameter; Optuna's cache forgets it alone."""
    url, x = f"sqlite:///{tmp_path}/s.db", FloatDistribution(0.0, 1.0)
    study_id = get_storage(url).create_new_study([StudyDirection.MINIMIZE], "s")
    trial_id = get_storage(url).create_new_trial(study_id)
    with pytest.raises(KeyError):
        get_storage(url).set_trial_param(trial_id, "x", 0.5, x)
    storage = PatientStorage(get_storage(url))
    storage.set_trial_param(trial_id, "x", 0.5, x)
    assert storage.get_trial(trial_id).params == {"x": 0.5}
    with pytest.raises(KeyError):
        storage.set_trial_param(trial_id + 1, "x", 0.5, x)


def test_a_template_is_made_once_too(study: optuna.Study, faulty: Faulty) -> None:
    faulty.after["create_new_trial"] = [lost()]
    study.enqueue_trial({"x": 0.5}, user_attrs={"mine": True})
    waiting = study.get_trials()
    assert [(t.state.name, t.user_attrs) for t in waiting] == [("WAITING", {"mine": True})]
    trial = study.ask()
    assert trial.suggest_float("x", 0.0, 1.0) == 0.5


def test_a_waiting_trial_is_never_run_twice(study: optuna.Study, faulty: Faulty) -> None:
    """The safe side: it may stay RUNNING without a worker, and is then taken for a dead one's."""
    study.enqueue_trial({"x": 0.5})
    faulty.after["set_trial_state_values"] = [lost()]
    trial = study.ask()
    assert trial.number == 1
    assert [t.state.name for t in study.get_trials()] == ["RUNNING", "RUNNING"]


@pytest.mark.parametrize(("state", "value"), [("COMPLETE", 0.5), ("FAIL", None)])
def test_a_trial_that_another_one_has_ended_is_not_ours(
    study: optuna.Study, storage: PatientStorage, faulty: Faulty, state: str, value: Any
) -> None:
    trial = study.ask()
    values = None if value is None else [value]
    faulty.inner.set_trial_state_values(trial._trial_id, TrialState[state], values)
    faulty.before["set_trial_state_values"] = [lost()]
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.25])
    faulty.before["set_trial_state_values"] = [lost()]
    assert storage.set_trial_state_values(trial._trial_id, TrialState[state], values)


def test_studies_are_made_and_deleted_once(storage: PatientStorage, faulty: Faulty) -> None:
    faulty.after["create_new_study"] = [lost()]
    made = storage.create_new_study([StudyDirection.MINIMIZE])
    assert [s._study_id for s in storage.get_all_studies()] == [made]
    faulty.after["create_new_study"] = [lost()]
    with pytest.raises(DuplicatedStudyError):  # by whom, nobody can tell
        storage.create_new_study([StudyDirection.MINIMIZE], "named")
    optuna.create_study(storage=storage, study_name="named", load_if_exists=True)
    faulty.after["delete_study"] = [lost()]
    storage.delete_study(made)
    assert [s.study_name for s in storage.get_all_studies()] == ["named"]


@pytest.mark.parametrize(
    "error",
    [
        KeyError("no such trial"),
        ValueError("no"),
        UpdateFinishedTrialError("finished"),
        ProgrammingError("SELECT", {}, Exception("no such table")),
    ],
)
def test_what_is_wrong_with_the_call_is_said_at_once(
    study: optuna.Study, faulty: Faulty, error: Exception
) -> None:
    faulty.calls.clear()
    faulty.before["get_all_trials"] = [error]
    with pytest.raises(type(error)):
        study.get_trials()
    assert faulty.calls.count("get_all_trials") == 1


def test_which_errors_mean_an_outage() -> None:
    for error in (lost(), StorageInternalError("gone"), ConnectionResetError(), TimeoutError()):
        assert unreachable(error)
    assert unreachable(ProgrammingError("x", {}, Exception("x"), connection_invalidated=True))
    pending = StorageInternalError("An exception is raised during the commit.")
    pending.__cause__ = PendingRollbackError("Can't reconnect until invalid transaction is ...")
    assert unreachable(pending)  # Optuna reads trials in another way after an error
    wrong = StorageInternalError("too long")
    wrong.__cause__ = DataError("INSERT", {}, Exception("value too long"))
    for error in (wrong, IntegrityError("x", {}, Exception("x")), KeyError(), RuntimeError()):
        assert not unreachable(error)


@pytest.mark.parametrize(
    ("code", "outage"),
    [("UNAVAILABLE", True), ("CANCELLED", True), ("UNKNOWN", False), ("UNIMPLEMENTED", False)],
)
def test_which_of_grpcs_errors_do(code: str, outage: bool) -> None:
    grpc = pytest.importorskip("grpc")

    class Answer(grpc.RpcError):
        def code(self) -> Any:
            return grpc.StatusCode[code]

        def details(self) -> str:
            return "Socket closed\nmore"

    assert unreachable(Answer()) == outage
    assert first_line(Answer()) == "Socket closed"


@pytest.mark.parametrize("error", [lost(), ConnectionResetError("reset by peer")])
def test_the_patience_has_an_end(faulty: Faulty, caplog, error: Exception) -> None:
    storage = PatientStorage(faulty, patience=0.3)  # type: ignore[arg-type]
    faulty.before["get_all_studies"] = [error] * 1000
    begun = time.monotonic()
    with pytest.raises(StorageInternalError) as caught:
        storage.get_all_studies()
    assert 0.05 < time.monotonic() - begun < 5
    assert error in (caught.value, caught.value.__cause__)
    assert len([r for r in caplog.records if "cannot be reached" in r.message]) == 1


def test_an_outage_is_told_at_its_begin_and_its_end(
    study: optuna.Study, faulty: Faulty, caplog
) -> None:
    with caplog.at_level(logging.WARNING, "lrsearch"):
        for _ in range(2):
            faulty.before["get_all_trials"] = [lost()] * 4
            study.get_trials()
            study.get_trials()
    told = [r.message for r in caplog.records]
    assert len(told) == 4
    assert told[0].startswith("the storage cannot be reached ((builtins.Exception) server closed")
    assert told[1].startswith("the storage answers again, after")


def test_ctrl_c_gets_through(study: optuna.Study, faulty: Faulty, monkeypatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 30.0)
    faulty.before["get_all_trials"] = [lost()]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main = threading.main_thread().ident
        threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGINT]).start()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            study.get_trials()
        assert time.monotonic() - begun < 20
    finally:
        signal.signal(signal.SIGINT, before)


def test_threads_wait_each_for_itself(study: optuna.Study, faulty: Faulty) -> None:
    faulty.before["get_all_trials"] = [lost()] * 20
    threads = [threading.Thread(target=study.get_trials) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(t.is_alive() for t in threads)
    assert study.get_trials() == []


def test_it_is_pickled_as_its_inner_storage_is(tmp_path: Path) -> None:
    storage = PatientStorage(get_storage(RDBStorage(f"sqlite:///{tmp_path}/s.db")), patience=7.0)
    optuna.create_study(storage=storage, study_name="s")
    again = pickle.loads(pickle.dumps(storage))
    assert again.patience == 7.0
    assert [s.study_name for s in again.get_all_studies()] == ["s"]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_heartbeats_are_those_of_the_inner_storage(tmp_path: Path) -> None:
    def make(interval: int | None) -> PatientStorage:
        url = f"sqlite:///{tmp_path}/s.db"
        return PatientStorage(get_storage(RDBStorage(url, heartbeat_interval=interval)))

    assert not is_heartbeat_enabled(PatientStorage(InMemoryStorage()))
    assert PatientStorage(InMemoryStorage()).get_heartbeat_stale_trial_callback() is None
    assert not is_heartbeat_enabled(make(None))
    assert is_heartbeat_enabled(make(60))
    study = optuna.create_study(storage=make(60))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 2


def test_it_serves_optunas_cache(storage: PatientStorage, study: optuna.Study) -> None:
    trial = study.ask()
    storage.set_trial_param(trial._trial_id, "x", 0.5, FloatDistribution(0, 1))
    assert storage.get_trial_params(trial._trial_id) == {"x": 0.5}
    first: Callable[[], Any] = lambda: storage.get_all_trials(study._study_id, deepcopy=False)[0]  # noqa: E731
    study.tell(trial, 1.0)
    first()
    assert first() is first()  # not read anew, not copied
