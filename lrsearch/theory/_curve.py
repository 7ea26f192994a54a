"""One recorded loss curve: the learning rate of every update, and the loss after some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
# The learning rate of every update: a schedule, or numbers of shape (T,).
Rates: TypeAlias = Schedule | npt.ArrayLike


@dataclass(frozen=True, eq=False)
class Curve:
    """The losses of one run beside the learning rates that it was trained with.

    The loss at step `s` is the loss after `s` updates: those with the learning rates
    `learning_rates[:s]`, warm-up included. Step 0 (before any update) has no place in a law, the
    end of the run is step `T`. A file that numbers updates from 0 and writes the loss in the row of
    its update means step `row + 1`.

    Attributes:
        learning_rates: Learning rate of every update, shape `(T,)`; finite, >= 0, not all 0.
        steps: Updates made when the losses were recorded, shape `(k,)`; increasing, in [1, T].
        losses: The losses, shape `(k,)`; above 0. NaN and infinity mark readings that failed: fits
            leave them out and say how many.

    The arrays are copies, read-only.

    Raises:
        InvalidScheduleError: If shapes do not match or a value makes no sense.
    """

    learning_rates: FloatArray
    steps: IntArray
    losses: FloatArray

    def __post_init__(self) -> None:
        rates = checked_rates(self.learning_rates).copy()
        steps = checked_steps(self.steps, len(rates)).copy()
        losses = _floats("losses", self.losses).copy()
        if losses.shape != steps.shape:
            raise InvalidScheduleError(
                f"a curve needs one loss a recorded step, got {len(losses)} losses for "
                f"{len(steps)} steps"
            )
        wrong = np.flatnonzero(losses <= 0.0)
        if len(wrong):
            raise InvalidScheduleError(
                f"losses must be above 0, since the laws are fitted to their logarithm; got "
                f"{losses[wrong[0]]} at step {steps[wrong[0]]}; mark failed readings with NaN"
            )
        for name, array in (("learning_rates", rates), ("steps", steps), ("losses", losses)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def peak(self) -> float:
        """Largest learning rate of the run."""
        return float(self.learning_rates.max())


def checked_rates(learning_rates: Rates) -> FloatArray:
    """Return learning rates as an array `(T,)`; those of a schedule are its `values()`.

    Raises:
        InvalidScheduleError: If it is no sequence of finite numbers >= 0, at least one above 0.
    """
    if isinstance(learning_rates, Schedule):
        learning_rates = learning_rates.values()
    rates = _floats("learning_rates", learning_rates)
    if len(rates) == 0:
        raise InvalidScheduleError("learning_rates must hold one value an update, got none")
    wrong = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0.0)))
    if len(wrong):
        raise InvalidScheduleError(
            f"learning_rates must be finite and >= 0, got {rates[wrong[0]]} at update {wrong[0]}"
        )
    if not rates.any():
        raise InvalidScheduleError("learning_rates are all 0: no update moves, give the real ones")
    return rates


def checked_steps(steps: npt.ArrayLike | None, budget: int) -> IntArray:
    """Return recorded steps as an array `(k,)`; `None` stands for the last update.

    Raises:
        InvalidScheduleError: If they are no increasing whole numbers in [1, budget], or none.
    """
    try:
        array = np.atleast_1d(np.asarray(budget if steps is None else steps))
    except ValueError as error:
        raise InvalidScheduleError(f"steps must be whole numbers: {error}") from error
    if np.issubdtype(array.dtype, np.floating) and np.all(np.isfinite(array)):
        whole = array.astype(np.int64)  # as a file gives them
        array = whole if np.all(array == whole) else array
    elif np.issubdtype(array.dtype, np.unsignedinteger):
        array = array.astype(np.int64)  # differences of unsigned numbers wrap around
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer) or len(array) == 0:
        raise InvalidScheduleError(
            f"steps must be a sequence of whole numbers, got shape {array.shape} of {array.dtype}"
        )
    wrong = np.flatnonzero((array < 1) | (array > budget))
    if len(wrong):
        raise InvalidScheduleError(
            f"steps must lie in [1, {budget}], as {budget} learning rates were given; got "
            f"{array[wrong[0]]}; give the learning rates up to the last recorded loss, and add 1 "
            "where a file numbers its updates from 0"
        )
    wrong = np.flatnonzero(np.diff(array) <= 0)
    if len(wrong):
        i = wrong[0]
        raise InvalidScheduleError(
            f"steps must increase, got {array[i + 1]} after {array[i]}; sort the records and keep "
            "one loss a step"
        )
    return array.astype(np.int64)


def _floats(name: str, values: Any) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidScheduleError(f"{name} must be numbers: {error}") from error
    if array.ndim != 1:
        raise InvalidScheduleError(
            f"{name} must be a flat sequence of numbers, got shape {array.shape}"
        )
    return array
