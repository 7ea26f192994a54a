"""Storages that cannot be used: what is said, what is shown, what is left behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import IntegrityError

from lrsearch.exceptions import MissingExtraError, StorageError, StudyMismatchError
from lrsearch.sweeps import PatientStorage, only_study, open_storage, open_study, shown
from lrsearch.sweeps import _network as network
from lrsearch.sweeps import _storage as storage


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
@pytest.mark.parametrize("create", [True, False])
def test_files_that_are_no_storage_are_refused_and_left_alone(
    tmp_path: Path, kind: str, create: bool
) -> None:
    for text in ("hello\n", "hello\nworld\n"):
        (tmp_path / "text").write_text(text)
        with pytest.raises(StorageError, match=rf"cannot open the storage {kind}:///.*such as"):
            open_storage(f"{kind}:///{tmp_path}/text", create=create)
        assert (tmp_path / "text").read_text() == text
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="cannot open the storage"):
        open_storage(f"{kind}:///{tmp_path}/folder", create=create)
    with pytest.raises(StorageError, match="cannot open the storage"):
        open_storage(f"{kind}:///{tmp_path}/text/below.db", create=True)


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_missing_file_is_made_only_when_asked(tmp_path: Path, kind: str) -> None:
    url = f"{kind}:///{tmp_path}/deep/s.db"
    with pytest.raises(StorageError, match=r"no storage .*deep/s\.db: run `lrsearch sweep` first"):
        open_storage(url, create=False)
    assert list(tmp_path.iterdir()) == []
    open_study(open_storage(url, create=True), "a", create=True)
    assert only_study(open_storage(url, create=False)) == "a"


@pytest.mark.parametrize("url", ["journal:///", "journal:///:memory:"])
def test_a_journal_needs_a_file(tmp_path: Path, monkeypatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="needs a file"):
        open_storage(url, create=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "",
        "foo://someone:secret@host/db",
        "postgresql://someone:secret@host/db",
        "postgresql://someone:secret@host:port/db",
        "postgresql://someone:sec/ret@host:port/db",
        "mysql+pymysql://someone:secret@host/db",
        "sqlite+nothing://someone:secret@host/db",
    ],
)
def test_no_message_shows_a_password(url: str, monkeypatch) -> None:
    monkeypatch.setattr(network, "DRIVERS", {})
    with pytest.raises(StorageError, match="cannot open the storage") as caught:
        open_storage(url, create=False)
    assert "sec" not in str(caught.value)
    if "@" in url:
        assert ":***@" in str(caught.value) or "//***@" in str(caught.value)


def test_no_password_of_a_query_is_shown() -> None:
    assert (
        shown("postgresql://h/d?user=u&password=sesame") == "postgresql://h/d?user=u&password=***"
    )


def test_what_is_shown_of_a_url_without_a_password_is_the_url() -> None:
    for url in ("sqlite:///a b.db", "sqlite:////tmp/x.db", "journal:///../x.log", "sqlite:///x.db"):
        assert shown(url) == url


def test_studies_are_named(tmp_path: Path) -> None:
    opened = open_storage(f"sqlite:///{tmp_path}/s.db", create=True)
    with pytest.raises(StudyMismatchError, match=r"has 0 studies \(none\).*--study"):
        only_study(opened)
    for name in ("b", "a"):
        open_study(opened, name, create=True)
    with pytest.raises(StudyMismatchError, match=r"has 2 studies \(a, b\)"):
        only_study(opened)
    with pytest.raises(StudyMismatchError, match="no study 'c' in this storage, which has: a, b"):
        open_study(opened, "c")
    assert sorted(optuna.get_all_study_names(opened)) == ["a", "b"]


def test_a_study_of_several_objectives_is_not_a_sweep(tmp_path: Path) -> None:
    opened = open_storage(f"sqlite:///{tmp_path}/s.db", create=True)
    optuna.create_study(storage=opened, study_name="a", directions=["minimize", "maximize"])
    with pytest.raises(StudyMismatchError, match="has direction minimize/maximize"):
        open_study(opened, "a", direction="minimize")


def test_workers_that_make_the_tables_at_the_same_moment_all_get_them(tmp_path: Path) -> None:
    url, errors, start = f"sqlite:///{tmp_path}/s.db", [], threading.Barrier(4)

    def work() -> None:
        start.wait()
        try:
            open_storage(url, create=True)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_worker_that_loses_that_race_looks_again(tmp_path: Path, monkeypatch) -> None:
    made, real = [], storage.RDBStorage

    def racing(*arguments, **options):
        made.append(arguments)
        if len(made) < 3:
            raise IntegrityError("insert", {}, Exception("UNIQUE constraint failed"))
        return real(*arguments, **options)

    monkeypatch.setattr(storage, "RDBStorage", racing)
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    open_storage(f"sqlite:///{tmp_path}/s.db", create=True)
    assert len(made) == 3


# Behind a server


def installed(monkeypatch, *modules: str) -> None:
    monkeypatch.setattr(network, "find_spec", lambda name: name if name in modules else None)


@pytest.mark.parametrize(
    ("url", "modules", "named"),
    [
        ("postgresql://h/d", ["psycopg", "psycopg2"], "postgresql+psycopg://h/d"),
        ("postgresql://h/d", ["psycopg2"], "postgresql+psycopg2://h/d"),
        (
            "postgres://u:p@h/d?sslmode=require",
            ["psycopg"],
            "postgresql+psycopg://u:p@h/d?sslmode=",
        ),
        ("postgresql+psycopg2://h/d", [], "postgresql+psycopg2://h/d"),
        ("mysql://h/d", ["pymysql"], "mysql+pymysql://h/d"),
        ("mysql://h/d", ["MySQLdb", "pymysql"], "mysql+mysqldb://h/d"),
        ("oracle://h/d", [], "oracle://h/d"),
    ],
)
def test_a_database_is_opened_with_the_driver_that_is_there(
    monkeypatch, url: str, modules: list[str], named: str
) -> None:
    installed(monkeypatch, *modules)
    assert network.with_driver(url).startswith(named)


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("postgresql://u:secret@h/d", r"a postgresql:// .*pip install 'lrsearch\[postgresql\]'"),
        ("mysql://u:secret@h/d", "a mysql:// .*MySQLdb, pymysql is installed: pip install pymysql"),
        ("grpc://h:1", r"a grpc:// storage needs gRPC: pip install 'lrsearch\[grpc\]'"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, url: str, remedy: str) -> None:
    installed(monkeypatch)
    with pytest.raises(MissingExtraError, match=remedy) as caught:
        open_storage(url, create=True)
    assert "secret" not in str(caught.value)


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    pytest.importorskip("psycopg")
    begun = time.monotonic()
    with pytest.raises(
        StorageError, match=r"cannot open the storage postgresql://u:\*\*\*@127"
    ) as e:
        open_storage("postgresql://u:secret@127.0.0.1:9/d", create=True)
    assert time.monotonic() - begun < 30
    assert "secret" not in str(e.value)


def test_what_a_url_says_of_connecting_goes_first() -> None:
    options = network.engine_options("postgresql+psycopg://h/d?connect_timeout=3")
    assert options["pool_pre_ping"]
    assert "connect_timeout" not in options["connect_args"]
    assert options["connect_args"]["keepalives_count"] == 3
    assert network.engine_options("oracle://h/d")["connect_args"] == {}


@pytest.mark.parametrize("url", ["grpc://", "grpc://:5", "grpc://h:port"])
def test_a_proxy_needs_a_host_and_a_port(url: str) -> None:
    pytest.importorskip("grpc")
    with pytest.raises(StorageError, match="cannot open the storage grpc://"):
        open_storage(url, create=True)


def test_a_proxy_where_nobody_answers_is_told(monkeypatch) -> None:
    pytest.importorskip("grpc")
    monkeypatch.setattr(network, "GRPC_WAIT", 0.2)
    with pytest.raises(StorageError, match=r"no gRPC server answered within 0\.2 s; start"):
        open_storage("grpc://127.0.0.1:9", create=True)


def test_only_what_stands_behind_a_server_is_waited_for(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/s.db", f"journal:///{tmp_path}/s.log"):
        assert not isinstance(open_storage(url, create=True), PatientStorage)


def test_a_storage_that_stops_answering_ends_in_a_sentence() -> None:
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = ConnectionError("server closed the connection.")
    with pytest.raises(StorageError, match=r"failed: server closed the connection\. Nothing"):
        with storage.answering():
            raise error
