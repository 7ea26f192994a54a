"""Finding a task by what a user types: an embedded name, a module, or a Python file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from lrsearch.exceptions import TaskError
from lrsearch.training._task import Task

_FORMS = "'module:attribute' or 'path/to/file.py:attribute'"


def find_task(spec: str, embedded: Mapping[str, Callable[[], Task]]) -> Task:
    """The task that ``spec`` names.

    A file is executed once per content, under a module name of its own that stays in
    ``sys.modules``, so that its classes can be pickled. While it runs, and while an attribute
    that is a function builds the task, the file's folder (the current folder for a module) can
    be imported from; import neighbouring files at the top of the file, not later.

    Args:
        spec: An embedded name ('digits'), 'module:attribute' or 'path/to/file.py:attribute'.
            The attribute is a Task, or a function without required arguments that returns one.
        embedded: The tasks known by name.

    Raises:
        TaskError: If there is no such task, or if the code that holds it fails.
    """
    location, colon, attribute = spec.rpartition(":")
    if not colon:
        return _embedded(spec, embedded)
    if not location or not attribute:
        raise TaskError(f"cannot read the task {spec!r}: write {_FORMS}.")
    is_file = location.endswith(".py")
    folder = Path(location).resolve().parent if is_file else Path.cwd()
    with _importable(folder, first=is_file):
        module = _load_file(Path(location)) if is_file else _load_module(location)
        return _task_of(module, attribute, spec)


def _embedded(name: str, embedded: Mapping[str, Callable[[], Task]]) -> Task:
    if name in embedded:
        return embedded[name]()
    if name.endswith(".py"):
        raise TaskError(f"{name!r} names a file but no task in it: write '{name}:attribute'.")
    raise TaskError(
        f"no embedded task is called {name!r}. Embedded are {_listed(embedded)}; for a task of "
        f"your own write {_FORMS}."
    )


@contextmanager
def _importable(folder: Path, *, first: bool) -> Iterator[None]:
    entry = os.fspath(folder)
    sys.path.insert(0 if first else len(sys.path), entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def _load_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise TaskError(
            f"{name!r} is neither a module's name nor a Python file (files end in .py): "
            f"write {_FORMS}."
        )
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in _with_parents(name):
            raise TaskError(
                f"there is no module {name!r}: install it, run in the folder that holds it, or "
                "give the path of its file ('path/to/file.py:attribute')."
            ) from error
        raise TaskError(_failed(f"importing module {name!r}", error)) from error


def _load_file(path: Path) -> ModuleType:
    path = path.resolve()
    try:
        source = path.read_bytes()
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"is no use: {error}"
        raise TaskError(f"the task file {path} {reason}. Check the path.") from error
    digest = hashlib.blake2b(os.fsencode(path) + b"\0" + source, digest_size=6).hexdigest()
    name = f"_lrsearch_task_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = os.fspath(path)
    module.__spec__ = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module  # before it runs: dataclasses look their module up
    try:
        # The bytes that were hashed, not a cached .pyc; without this file's own __future__.
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, (Exception, SystemExit)):
            raise TaskError(_failed(f"running {path}", error)) from error
        raise
    return module


def _task_of(module: ModuleType, attribute: str, spec: str) -> Task:
    where = module.__file__ or module.__name__
    try:
        found: Any = getattr(module, attribute)
    except AttributeError as error:
        raise TaskError(
            f"{where} has no attribute {attribute!r}. Tasks in it: {_listed(_tasks(module))}; "
            f"functions without required arguments: {_listed(_functions(module))}."
        ) from error
    if isinstance(found, Task):
        return found
    if not callable(found):
        raise TaskError(
            f"{spec!r} must be a Task or a function that returns one, "
            f"got {type(found).__name__}: {found!r}."
        )
    if not _takes_nothing(found):
        raise TaskError(
            f"{spec!r} needs arguments {inspect.signature(found)}, but a sweep calls it without "
            "any: give them defaults, or name a function that fills them in."
        )
    try:
        task = found()
    except (Exception, SystemExit) as error:
        raise TaskError(_failed(f"calling {spec!r}", error)) from error
    if not isinstance(task, Task):
        raise TaskError(f"{spec!r} must return a Task, got {type(task).__name__}: {task!r}.")
    return task


def _tasks(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, Task)]


def _functions(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and _takes_nothing(value)
    ]


def _takes_nothing(function: Callable[..., Any]) -> bool:
    """Whether a call without arguments binds; yes where the signature cannot be known."""
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _failed(doing: str, error: BaseException) -> str:
    return f"{doing} failed with {type(error).__name__}: {error}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
