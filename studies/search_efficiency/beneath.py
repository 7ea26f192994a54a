"""Our pruner beneath anyone's sampler: what `StabilityPruner` is worth to a study of one's own."""

import optuna
from ours import looks, price_of, pruned, reading_at
from peers import Peer
from table import Run, Table

from lrsearch import StabilityPruner


class Beneath(Peer):
    """A peer's sampler on its stream, with our watch and pruner instead of its own.

    Averaged weights are evaluated at the looks, and runs compared.
    """

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        study, spent = super().begin(table, seed)
        study.pruner = StabilityPruner()
        self.table = table
        self._read = looks(table, compared=True)
        return study, spent

    def looks_at(self, rung: int) -> bool:
        return rung in self._read

    def look(self, trial: optuna.Trial, run: Run, rung: int) -> tuple[bool, float]:
        reading = reading_at(run, rung, self.table.budget, frozenset(), compared=True)
        return pruned(trial, reading), price_of(self.table, reading)
