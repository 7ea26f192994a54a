"""Storages that cannot be used: what is said, what is shown, what is left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import optuna
import pytest
from sqlalchemy.exc import IntegrityError

from lrsearch.exceptions import StorageError, StudyMismatchError
from lrsearch.sweeps import _storage as storage
from lrsearch.sweeps import only_study, open_storage, open_study, shown


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
def test_no_message_shows_a_password(url: str) -> None:
    with pytest.raises(StorageError, match="cannot open the storage") as caught:
        open_storage(url, create=False)
    assert "sec" not in str(caught.value)
    if "@" in url:
        assert ":***@" in str(caught.value) or "//***@" in str(caught.value)


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
