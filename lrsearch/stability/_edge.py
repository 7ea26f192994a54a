"""The measured edge of stability of a model, its data and its optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from lrsearch.exceptions import CalibrationError, DocumentError
from lrsearch.stability._plain import plain

EDGE_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The learning rate that edge multipliers are counted from, and how it was found.

    Attributes:
        learning_rate: The edge learning rate; multiplier 1.
        uncertainty: Root mean square error to expect, in octaves (factors of two).
        method: Name of the recipe.
        optimizer: Class name of the optimizer it was measured for.
        usual_rate: The usual rate of that optimizer, where the search began.
        proxy_rate: Best rate of the short annealed runs.
        shift: Octaves that the edge is under it, for what momentum adds to short runs; a constant
            comes on top.
        sharpness: Sharpness in the optimizer's metric while training at about the edge [1/rate].
        threshold: The optimizer's stability constant for ``rate * sharpness``.
        proxy_steps: Length of one annealed run.
        cost: Everything spent, in gradients.
        trace: ``(rate, loss on fresh batches)`` of every annealed run, ascending; a diverged run
            has loss ``None``.
    """

    learning_rate: float
    uncertainty: float
    method: str
    optimizer: str
    usual_rate: float | None = None
    proxy_rate: float | None = None
    shift: float = 0.0
    sharpness: float | None = None
    threshold: float | None = None
    proxy_steps: int = 0
    cost: float = 0.0
    trace: tuple[tuple[float, float | None], ...] = ()

    def __post_init__(self) -> None:
        rate = self.learning_rate
        if not (isinstance(rate, float | int) and math.isfinite(rate) and rate > 0):
            raise CalibrationError(
                f"an edge learning rate must be finite and > 0, got {rate!r}: give a rate that "
                "trains, for example lrsearch.Edge.known(0.1)."
            )

    @classmethod
    def known(cls, learning_rate: float, *, optimizer: str = "") -> Self:
        """An edge taken from elsewhere instead of measured; costs nothing."""
        return cls(
            learning_rate=learning_rate, uncertainty=1.0, method="given", optimizer=optimizer
        )

    @property
    def rho(self) -> float | None:
        """Normalised sharpness measured while training at about this rate."""
        if self.sharpness is None or not self.threshold:
            return None
        return self.learning_rate * self.sharpness / self.threshold

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe form; a number that is not finite is ``None``."""
        fields = {name: plain(value) for name, value in asdict(self).items()}
        trace = [[rate, plain(loss)] for rate, loss in self.trace]
        return {"version": EDGE_VERSION, **fields, "trace": trace}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read `to_dict`'s form.

        Raises:
            DocumentError: If it is of a newer version, or not an edge.
        """
        fields = dict(document)
        version = fields.pop("version", None)
        if not isinstance(version, int) or version > EDGE_VERSION:
            raise DocumentError(
                f"an edge of version {version!r} cannot be read (this lrsearch knows "
                f"{EDGE_VERSION}): upgrade lrsearch, or measure it again."
            )
        try:
            trace = tuple((float(rate), loss) for rate, loss in fields.pop("trace", ()))
            return cls(**fields, trace=trace)
        except (TypeError, ValueError, CalibrationError) as error:
            raise DocumentError(f"not an edge: {error}") from error
