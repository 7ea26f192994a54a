"""What one trial set out to train: multiplier, alignment, edge and the peak that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from lrsearch.exceptions import DocumentError
from lrsearch.schedules import Schedule

PLAN_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A point of the search space in absolute units; ``peak = multiplier * alignment * edge``.

    Attributes:
        family: Schedule family.
        parameters: Its shape parameters.
        multiplier: Edge multiplier m (dimensionless).
        alignment: Relative optimal peak of the shape (dimensionless).
        edge: Edge learning rate.
        edge_method: How the edge was found.
        peak: Peak learning rate.
        budget: Optimizer steps.
        warmup_steps: Steps of linear warm-up.
    """

    family: str
    multiplier: float
    alignment: float
    edge: float
    edge_method: str
    peak: float
    budget: int
    warmup_steps: int = 0
    parameters: Mapping[str, float | str] = field(default_factory=dict)

    def schedule(self, **provenance: Any) -> Schedule:
        """The schedule of this plan, with where it comes from."""
        return Schedule(
            family=self.family,
            peak=self.peak,
            budget=self.budget,
            parameters=self.parameters,
            warmup_steps=self.warmup_steps,
            provenance={
                "edge": self.edge,
                "edge_method": self.edge_method,
                "multiplier": self.multiplier,
                "alignment": self.alignment,
                "peak": self.peak,
                **provenance,
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe form."""
        return {"version": PLAN_VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read `to_dict`'s form.

        Raises:
            DocumentError: If it is of a newer version, or not a plan.
        """
        fields = dict(plain)
        version = fields.pop("version", None)
        if not isinstance(version, int) or version > PLAN_VERSION:
            raise DocumentError(
                f"a plan of version {version!r} cannot be read (this lrsearch knows "
                f"{PLAN_VERSION}): upgrade lrsearch."
            )
        try:
            return cls(**fields)
        except TypeError as error:
            raise DocumentError(f"not a plan: {error}") from error
