"""What a judgement says: go on or stop, why, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

Regime = Literal[
    "training",
    "warming",
    "annealing",
    "progressive sharpening",
    "at the edge",
    "above the edge",
    "below the edge",
    "chaotic",
    "short-sighted spiral",
    "plateau",
    "diverged",
    "dead",
    "behind",
    "host",
    "failed",
]
Side = Literal["hot", "cold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a run goes on, and the one sentence that explains it.

    Attributes:
        stop: Whether the run is to be stopped.
        regime: What the run was found to be doing.
        reason: One sentence with numbers, for people; empty where there is nothing to say.
        side: Whether the rate was too high ("hot") or too low ("cold"), where that can be told.
        step: Optimizer steps done when it was said.
        trend: The numbers behind it, JSON-safe.
    """

    stop: bool = False
    regime: Regime = "training"
    reason: str = ""
    side: Side | None = None
    step: int = 0
    trend: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe form."""
        return {
            "stop": self.stop,
            "regime": self.regime,
            "reason": self.reason,
            "side": self.side,
            "step": self.step,
            "trend": dict(self.trend),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read `to_dict`'s form; unknown keys are ignored."""
        return cls(**{name: plain[name] for name in cls.__slots__ if name in plain})


CONTINUE = Verdict()
