"""Our pruner beneath anyone's sampler: what `StabilityPruner` is worth to a study of one's own."""

from dataclasses import dataclass

import optuna
from ours import looks, price_of, reading_at
from peers import Peer
from table import Run, Table

from lrsearch import StabilityPruner
from lrsearch.integrations.optuna._attributes import reading_key


@dataclass
class Beneath(Peer):
    """A peer's sampler on its stream, with our watch and pruner instead of its own.

    Attributes:
        compared: Whether averaged weights are evaluated at the looks.
    """

    compared: bool = True

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        study, spent = super().begin(table, seed)
        study.pruner = StabilityPruner()
        self.table = table
        self._read = looks(table, compared=self.compared)
        return study, spent

    def looks_at(self, rung: int) -> bool:
        return rung in self._read

    def look(self, trial: optuna.Trial, run: Run, rung: int) -> tuple[bool, float]:
        reading = reading_at(run, rung, self.table.budget, frozenset(), compared=self.compared)
        trial.set_user_attr(reading_key(reading.step), reading.to_dict())
        return trial.should_prune(), price_of(self.table, reading)
