"""Any searcher that can be asked and told, as an Optuna sampler."""

from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

Suggestion = dict[str, Any]  # "shape" and "learning_rate" on the wide stream, else "factor"


class Searcher(Protocol):
    """What is wrapped."""

    def ask(self) -> Suggestion:
        """Values of a new trial, by name."""
        ...

    def tell(self, suggestion: Suggestion, loss: float | None) -> None:
        """How it ended; ``None`` if it was stopped or has diverged."""
        ...


class AskTell(optuna.samplers.BaseSampler):
    """Asks the searcher once a trial, and tells it when the trial ends."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.asked: dict[int, Suggestion] = {}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if trial.number not in self.asked:
            self.asked[trial.number] = self.searcher.ask()
        return self.asked[trial.number][param_name]

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Any,
    ) -> None:
        done = state == TrialState.COMPLETE and values
        self.searcher.tell(self.asked.pop(trial.number), float(values[0]) if done else None)
