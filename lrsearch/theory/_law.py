"""What every loss-curve law is: coefficients above 0, predictions, a gradient, a document."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import ClassVar, Self

import numpy.typing as npt

from lrsearch.exceptions import DocumentError, InvalidScheduleError
from lrsearch.theory._curve import FloatArray, Rates

SCHEMA = "lrsearch/law"
VERSION = 1


class LossLaw(ABC):
    """A law that predicts the loss after any update from the learning rates alone.

    Laws are frozen dataclasses of their coefficients. What happened before the first given learning
    rate is said by two arguments of every prediction:

        previous_rate: Learning rate before the first update; `None` takes the first one, so that
            nothing rises or falls there.
        previous_sum: Sum of the learning rates before the first update.

    Give all learning rates, warm-up included, and leave both alone: then the rise of the warm-up
    counts as a rise. Or give what follows the warm-up, with `previous_sum = peak * warmup / 2`. A
    law holds for the way its curves were given, and for warm-ups like theirs: a run without one has
    no rise, and the level of its prediction is off by what the rise is worth.
    """

    LAW: ClassVar[str]

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():  # type: ignore[call-overload]
            real = isinstance(value, numbers.Real) and not isinstance(value, bool)
            number = float(value) if real else math.nan
            if not math.isfinite(number) or number < 0.0:
                raise InvalidScheduleError(
                    f"{name} of the {self.LAW} law must be finite and >= 0, got {value!r}"
                )
            object.__setattr__(self, name, number)

    @abstractmethod
    def predict(
        self,
        learning_rates: Rates,
        steps: npt.ArrayLike | None = None,
        *,
        previous_rate: float | None = None,
        previous_sum: float = 0.0,
    ) -> FloatArray:
        """Return the losses after `steps` updates, `(k,)`; after the last one if not given."""

    @abstractmethod
    def final_gradient(
        self,
        learning_rates: Rates,
        *,
        previous_rate: float | None = None,
        previous_sum: float = 0.0,
    ) -> tuple[float, FloatArray]:
        """Return the loss after all updates and its gradient by every learning rate, `(T,)`."""

    def final_loss(
        self,
        learning_rates: Rates,
        *,
        previous_rate: float | None = None,
        previous_sum: float = 0.0,
    ) -> float:
        """Return the loss after all updates; O(T).

        Raises:
            InvalidScheduleError: If the learning rates make no sense.
        """
        loss, _ = self.final_gradient(
            learning_rates, previous_rate=previous_rate, previous_sum=previous_sum
        )
        return loss

    def to_dict(self) -> dict[str, str | int | float]:
        """Return the coefficients as plain JSON values, with schema and version."""
        coefficients: dict[str, float] = asdict(self)  # type: ignore[call-overload]
        return {"schema": SCHEMA, "version": VERSION, "law": self.LAW, **coefficients}

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> Self:
        """Return the law of a document that `to_dict` wrote; `LossLaw.from_dict` reads any law.

        Raises:
            DocumentError: If it is no document of this law in a version that we know, has keys too
                many or too few, or a coefficient makes no sense.
        """
        if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
            raise DocumentError(
                f"not a law document: expected an object with schema {SCHEMA!r}, got "
                f"{repr(document)[:120]}; write one with to_dict"
            )
        if document.get("version") != VERSION:
            raise DocumentError(
                f"law document: version {document.get('version')!r} is not {VERSION}, the one that "
                "this lrsearch reads; upgrade lrsearch if the document is newer"
            )
        if cls is LossLaw:
            laws = {law.LAW: law for law in cls.__subclasses__()}
            name = document.get("law")
            if not isinstance(name, str) or name not in laws:
                raise DocumentError(f"law document: unknown law {name!r}; known: {', '.join(laws)}")
            return laws[name].from_dict(document)
        if document.get("law") != cls.LAW:
            raise DocumentError(
                f"law document: holds the law {document.get('law')!r}, not {cls.LAW!r}; read it "
                "with the class of its law"
            )
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        given = set(document) - {"schema", "version", "law"}
        if given != names:
            raise DocumentError(
                f"law document: coefficients must be {sorted(names)}, got {sorted(map(str, given))}"
            )
        try:
            return cls(**{name: document[name] for name in names})
        except InvalidScheduleError as error:
            raise DocumentError(f"law document: {error}") from error


def checked_past(
    rates: FloatArray, previous_rate: float | None, previous_sum: float
) -> tuple[float, float]:
    """Return the learning rate before the first update and the sum up to it.

    Raises:
        InvalidScheduleError: If one of them is negative or not finite.
    """
    before = float(rates[0]) if previous_rate is None else float(previous_rate)
    past = float(previous_sum)
    for name, value in (("previous_rate", before), ("previous_sum", past)):
        if not (math.isfinite(value) and value >= 0.0):
            raise InvalidScheduleError(f"{name} must be finite and >= 0, got {value}")
    return before, past
