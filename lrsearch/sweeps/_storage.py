"""Opening storages and studies, with errors that a user can act on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import IntegrityError

from lrsearch.exceptions import LrsearchError, StorageError, StudyMismatchError
from lrsearch.sweeps._masked import masked
from lrsearch.sweeps._network import GRPC, engine_options, open_proxy, with_driver
from lrsearch.sweeps._patient import PatientStorage, first_line

Direction = Literal["minimize", "maximize"]
JOURNAL = "journal:///"
SQLITE = "sqlite:///"
LOCK_WAIT = 60.0  # seconds that a worker waits for another one's write to a SQLite file


def open_storage(url: str, *, create: bool) -> BaseStorage:
    """Open ``sqlite:///file.db``, ``journal:///file.log``, ``grpc://host:port`` or a database.

    What stands behind a server is waited for while it cannot be reached, see `PatientStorage`; but
    it must answer now. ``postgresql://`` takes whichever driver is installed.

    Args:
        url: The storage.
        create: Whether a file that does not exist is made (with its folder), or refused.

    Raises:
        MissingExtraError: If its driver is not installed.
        StorageError: If it cannot be opened or read; the message hides passwords.
    """
    path = local_file(url)
    if path is None and url.startswith(JOURNAL):
        raise StorageError("journal:/// needs a file, such as journal:///sweep.log.")
    if path is not None and not create and not path.exists():
        raise StorageError(
            f"there is no storage {path}: run `lrsearch sweep` first, or name another --storage."
        )
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        if url.startswith(JOURNAL):
            _refuse_foreign_journal(Path(str(path)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return JournalStorage(JournalFileBackend(str(path)))
        if url.startswith(GRPC):
            return PatientStorage(open_proxy(url))
        if url.startswith("sqlite"):
            return _database(url, {"connect_args": {"timeout": LOCK_WAIT}})
        named = with_driver(url)
        return PatientStorage(get_storage(_database(named, engine_options(named))))
    except LrsearchError:
        raise
    except Exception as error:  # SQLAlchemy, drivers and file systems raise what they like
        place, hidden = (u.partition("://")[2] or u for u in (url, shown(url)))
        reason = first_line(error).rstrip(".")
        reason = reason.replace(place, hidden) if place else reason
        raise StorageError(
            f"cannot open the storage {shown(url)}: {type(error).__name__}: {reason}. It must be a "
            "database that Optuna can read, such as sqlite:///sweep.db or journal:///sweep.log."
        ) from error


def open_study(
    storage: BaseStorage,
    name: str,
    *,
    direction: Direction | None = None,
    create: bool = False,
    **options: Any,
) -> optuna.Study:
    """Load a study, or create it.

    Raises:
        StudyMismatchError: If it does not exist and is not to be created, or has another direction.
        StorageError: If the storage cannot be read.
    """
    try:
        names = optuna.get_all_study_names(storage)
    except Exception as error:
        raise StorageError(f"cannot read the storage: {first_line(error).rstrip('.')}.") from error
    if name not in names:
        if not create:
            known = ", ".join(sorted(names)) or "none"
            raise StudyMismatchError(
                f"there is no study {masked(name)!r} in this storage, which has: {known}. "
                "Name one with --study."
            )
        return optuna.create_study(
            storage=storage,
            study_name=name,
            direction=direction,
            load_if_exists=True,  # another worker may be creating it at this moment
            **options,
        )
    study = optuna.load_study(study_name=name, storage=storage, **options)
    found = [d.name.lower() for d in study.directions]
    if direction is not None and found != [direction]:
        raise StudyMismatchError(
            f"study {name!r} has direction {'/'.join(found)}, and this task wants to {direction}: "
            "name another study with --study."
        )
    return study


def only_study(storage: BaseStorage) -> str:
    """Name of the storage's one study.

    Raises:
        StudyMismatchError: If it has none, or several.
    """
    names = optuna.get_all_study_names(storage)
    if len(names) != 1:
        raise StudyMismatchError(
            f"this storage has {len(names)} studies ({', '.join(sorted(names)) or 'none'}): name "
            "one with --study."
        )
    return names[0]


@contextmanager
def answering() -> Iterator[None]:
    """Context, or decorator, in which a storage that stops answering ends in a sentence.

    Raises:
        StorageError: Instead of Optuna's StorageInternalError.
    """
    try:
        yield
    except StorageInternalError as error:
        raise StorageError(
            f"the storage failed: {first_line(error).rstrip('.')}. Nothing is lost: run the same "
            "command again once it answers."
        ) from error


def local_file(url: str) -> Path | None:
    """The file behind a file-based storage's URL, or ``None``."""
    for prefix in (SQLITE, JOURNAL):
        if url.startswith(prefix) and url != prefix and not url.startswith(f"{prefix}:memory:"):
            return Path(url.removeprefix(prefix).partition("?")[0])
    return None


def shown(url: str) -> str:
    """The URL as it may be shown: without a password."""
    return masked(url)


def _database(url: str, options: dict[str, Any]) -> RDBStorage:
    for pause in (0.1, 0.5, 2.0):
        try:
            return RDBStorage(url, engine_kwargs=options)
        except Exception as error:
            # Two workers that make the tables at the same moment: the slower one looks again.
            if not isinstance(error, IntegrityError) and "already exists" not in str(error):
                raise
            time.sleep(pause)
    return RDBStorage(url, engine_kwargs=options)


def _refuse_foreign_journal(path: Path) -> None:
    # Optuna takes a last line that it cannot read for one that is being written.
    if path.exists():
        with path.open("rb") as file:
            if file.read(1) not in (b"", b"{"):
                raise ValueError("the file is not a journal")
