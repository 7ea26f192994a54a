"""What users type, as what the rooms below understand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from lrsearch.exceptions import UnsupportedError

PATIENCE = 1800.0  # seconds without a sign of life
CHECKPOINT_SECONDS = 10.0

if TYPE_CHECKING:
    from lrsearch.search import Setting
    from lrsearch.sweeps import SweepResult
    from lrsearch.training import Task


def runner(
    address: str | None,
    workers: int | None,
    cpus: float,
    gpus: float,
    files: str | None,
    patience: float,
    checkpoint_seconds: float,
) -> Callable[..., SweepResult]:
    """The function that sweeps: in this process, or on Ray."""
    from lrsearch.sweeps import sweep as local

    if address is None:
        if workers is not None or gpus or files is not None or cpus != 1.0:
            raise UnsupportedError(
                "--workers, --cpus-per-trial, --gpus-per-trial and --files need --ray; without "
                "Ray, start the same command as often as there are to be workers."
            )
        if (patience, checkpoint_seconds) != (PATIENCE, CHECKPOINT_SECONDS):
            raise UnsupportedError("--patience and --checkpoint-seconds need --ray.")
        return local
    import_module("lrsearch.ray")  # says what to install where it is missing
    from lrsearch.sweeps.ray import Cluster, ray_sweep

    cluster = Cluster(
        address=address, workers=workers, cpus=cpus, gpus=gpus, files=files, patience=patience
    )
    return partial(ray_sweep, cluster=cluster, checkpoint_seconds=checkpoint_seconds)


def gain_of(text: str | None) -> float | None:
    """The share of the loss at which a sweep ends, said as 1% or as 0.01."""
    from lrsearch.integrations.optuna import check_tolerance

    if text is None:
        return None
    try:
        number = float(text.strip().removesuffix("%"))
    except ValueError:
        raise UnsupportedError(f"--until takes a share such as 1% or 0.01, got {text!r}.") from None
    gain = number / 100 if text.strip().endswith("%") else number
    check_tolerance(gain)
    return gain


def task_of(spec: str) -> Task:
    """The task that a user names."""
    from lrsearch.tasks import EMBEDDED
    from lrsearch.training import find_task

    return find_task(spec, EMBEDDED)


def setting_of(text: str) -> tuple[str, Setting]:
    """A shape parameter and what is said of it."""
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise UnsupportedError(
            f"--parameter takes NAME=VALUE, such as wsd.cooldown=0.2 or phi=0.5..5, got {text!r}."
        )
    low, dots, high = value.partition("..")
    ends = _word(low), _word(high)
    if dots and isinstance(ends[0], float) and isinstance(ends[1], float):
        return name, (ends[0], ends[1])
    words = [_word(word.strip()) for word in value.split(",")]
    return name, words if len(words) > 1 else words[0]


def _word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def rate_of(text: str) -> tuple[str | None, float]:
    """A family, if one is named, and a peak learning rate."""
    family, _, number = text.rpartition(":")
    try:
        return family or None, float(number)
    except ValueError:
        raise UnsupportedError(
            f"--enqueue takes [FAMILY:]RATE, such as cosine:0.1 or 0.1, got {text!r}."
        ) from None
