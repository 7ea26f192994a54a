"""Every error that lrsearch raises on purpose: one small tree, messages with the way out.

Catch `LrsearchError` for all of them. Where a built-in exception fits (a bad value is a
`ValueError`, a missing package an `ImportError`) the error is one of those as well.
"""

from __future__ import annotations


class LrsearchError(Exception):
    """Base of every error raised by lrsearch."""


class InvalidScheduleError(LrsearchError, ValueError):
    """A schedule was asked for with a value that makes no sense."""


class DocumentError(LrsearchError, ValueError):
    """A stored document (schedule, reading, edge) cannot be read by this version."""


class InvalidSpaceError(LrsearchError, ValueError):
    """A search space was described with a value that makes no sense."""


class SpaceMismatchError(LrsearchError):
    """A study was started with another search space than the one in hand."""


class StudyMismatchError(LrsearchError):
    """A study cannot serve what is asked of it (another direction, no finished trial, ...)."""


class StorageError(LrsearchError):
    """A storage cannot be opened or read."""


class TaskError(LrsearchError):
    """A task cannot be found, or does not do what a task must do."""


class CheckpointError(LrsearchError):
    """A checkpoint cannot be read, or belongs to another run."""


class CalibrationError(LrsearchError):
    """The edge of stability could not be measured."""


class MeasurementError(LrsearchError):
    """One reading could not be taken; the run itself is unharmed."""


class RunStopped(LrsearchError):  # noqa: N818 (as TrialPruned: not an error of anyone)
    """Another process that trains the same model, or a tuner, has decided to stop the run."""


class UnsupportedError(LrsearchError):
    """A combination that cannot work; the message names the one that does."""


class MissingExtraError(LrsearchError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""
