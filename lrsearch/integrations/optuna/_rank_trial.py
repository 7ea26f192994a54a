"""A trial that several ranks run together: the first has it, the others hear what it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

import optuna

from lrsearch.exceptions import RunStopped, UnsupportedError
from lrsearch.integrations.optuna._meeting import Meeting, Word

T = TypeVar("T")
PATIENCE = 120.0  # seconds
BRIEFLY = 5.0  # seconds, for a rank that was interrupted


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the objective ended on one rank.

    Attributes:
        state: Its state; ``"left"`` where the rank itself ends (an interrupt).
        reason: Why, where it failed.
        caught: Whether the study goes on after such a failure.
    """

    state: Literal["complete", "pruned", "failed", "left"]
    reason: str = ""
    caught: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """What the other ranks know of a trial and its study from the trial's beginning on."""

    number: int
    study_name: str
    directions: Sequence[Any]
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    study_attrs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, trial: optuna.Trial) -> Facts:
        """Those of a trial."""
        study = trial.study
        return cls(
            trial.number, study.study_name, study.directions, trial.user_attrs, study.user_attrs
        )


class RankTrial:
    """One trial as its objective sees it on every rank.

    ``suggest_*`` and `should_prune` are answered by the first rank: all ranks must call them, in
    the same order. What only the first rank's trial can do (``report``, ``set_user_attr``, ...) is
    done there and does nothing in the study elsewhere; ``user_attrs`` are the first rank's as of
    the last suggestion, and what this rank has set itself. Everything else that the first rank's
    trial has, it has there only.

    Args:
        meeting: Where the ranks meet.
        facts: What all ranks know of it.
        trial: The trial itself, on the first rank.
        patience: Seconds that a rank waits for the others once the objective has ended early there.
    """

    def __init__(
        self,
        meeting: Meeting,
        facts: Facts,
        trial: optuna.Trial | None = None,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._trial, self._facts, self._patience = trial, facts, patience
        self.meeting, self.number = meeting, facts.number
        self.ended: list[Word] | None = None
        self._attributes = dict(facts.user_attrs)
        self._params: dict[str, Any] = {}

    def first(self, what: str, decide: Callable[[], T]) -> T:
        """What ``decide`` returns on the first rank, on every rank; all must call it.

        Args:
            what: What it is about, the same on all ranks.
            decide: Called on the first rank only. If it raises there, the trial has failed.

        Raises:
            RunStopped: If another rank has ended the trial already.
            UnsupportedError: If the ranks ask for different things.
        """
        if self.ended is not None:
            raise RunStopped(_departed(self.ended))
        answer: Any = None
        if self._trial is not None:
            answer = decide()
            if self.meeting.ranks.count == 1:
                return cast(T, answer)
            answer = (answer, self._trial.user_attrs)
        words = self.meeting.exchange(Word("ask", what, answer))
        if any(word.kind == "end" for word in words):
            self.ended = words
            raise RunStopped(_departed(words))
        if len({word.what for word in words}) > 1:
            asked = "; ".join(f"rank {rank}: {word.what}" for rank, word in enumerate(words))
            raise UnsupportedError(
                f"the ranks ask their trial for different things ({asked}): the objective must "
                "run alike on all, with the same suggestions in the same order."
            )
        answer, attributes = words[0].answer
        if self._trial is None:
            self._attributes |= attributes
        return cast(T, answer)

    def end(self, outcome: Outcome) -> list[Word]:
        """Say how the objective ended here, and hear how it did elsewhere.

        Raises:
            RunStopped: If the others do not come, or have left.
        """
        if self.ended is None:
            patience = {"complete": None, "left": min(self._patience, BRIEFLY)}
            self.ended = self.meeting.exchange(
                Word("end", answer=outcome),
                patience=patience.get(outcome.state, self._patience),
                because=outcome.reason,
            )
        return self.ended

    def suggest_float(self, name: str, low: float, high: float, **options: Any) -> float:
        """As `optuna.Trial.suggest_float`."""
        return float(self._suggest("suggest_float", name, low, high, **options))

    def suggest_int(self, name: str, low: int, high: int, **options: Any) -> int:
        """As `optuna.Trial.suggest_int`."""
        return int(self._suggest("suggest_int", name, low, high, **options))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """As `optuna.Trial.suggest_categorical`."""
        return self._suggest("suggest_categorical", name, choices)

    def should_prune(self) -> bool:
        """As `optuna.Trial.should_prune`: the first rank asks, all hear the same."""
        return self.first("should_prune", lambda: self._real.should_prune())

    def report(self, value: float, step: int) -> None:
        """As `optuna.Trial.report`, of the first rank's value."""
        if self._trial is not None:
            self._trial.report(value, step)

    def set_user_attr(self, key: str, value: Any) -> None:
        """As `optuna.Trial.set_user_attr`, of the first rank's value."""
        if self._trial is not None:
            self._trial.set_user_attr(key, value)
        else:
            self._attributes[key] = value

    def set_constraint(self, key: str, value: float) -> None:
        """As `optuna.Trial.set_constraint`, of the first rank's value."""
        if self._trial is not None:
            self._trial.set_constraint(key, value)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """The trial's attributes."""
        return dict(self._attributes) if self._trial is None else self._trial.user_attrs

    @property
    def params(self) -> dict[str, Any]:
        """What was suggested so far."""
        return dict(self._params) if self._trial is None else self._trial.params

    @property
    def study(self) -> Any:
        """The study on the first rank; elsewhere its name, directions and attributes."""
        return MirrorStudy(self._facts) if self._trial is None else self._trial.study

    @property
    def _real(self) -> optuna.Trial:
        assert self._trial is not None
        return self._trial

    def _suggest(self, kind: str, name: str, *arguments: Any, **options: Any) -> Any:
        given = [*map(repr, arguments), *(f"{k}={v!r}" for k, v in options.items())]
        value = self.first(
            f"{kind}({', '.join([repr(name), *given])})",
            lambda: getattr(self._real, kind)(name, *arguments, **options),
        )
        self._params[name] = value
        return value

    def __getattr__(self, name: str) -> Any:
        trial = self.__dict__.get("_trial")
        if trial is None:
            raise AttributeError(f"the trial has {name!r} on the first rank only, if at all")
        return getattr(trial, name)


class MirrorStudy:
    """What ranks other than the first know of their study, as of the trial's beginning."""

    def __init__(self, facts: Facts) -> None:
        self.study_name = facts.study_name
        self.directions = list(facts.directions)
        self.user_attrs = dict(facts.study_attrs)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"only the first rank has the study, and with it {name!r}: ask for it there and send "
            "it to the others with trial.first('...', lambda: ...)."
        )


def _departed(words: Sequence[Word]) -> str:
    gone = [
        f"rank {rank} has ended the trial ({word.answer.reason or word.answer.state})"
        for rank, word in enumerate(words)
        if word.kind == "end"
    ]
    return "; ".join(gone)
