"""A few rungs for everyone, then the best in full (Egele et al. 2024), round after round.

The rule that is simplest and most often left out of comparisons. A round draws a pool of runs,
trains all of them for ``rungs`` rungs, and the ``kept`` best by then to their ends; what it
recommends is the best run that it has ever trained in full.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import TrialState
from peers import Stream
from simulate import CELL_KEY, Trace, recommend
from table import Run, Table

# Of a stream over six decades a twentieth is worth training in full, of a narrow one a good part.
POOL = {"wide": 32, "prior": 16, "edge": 16}
# Name -> rungs for everyone, how many go on, and the column that says which.
VARIANTS = {
    f"{rungs} rung{'s' * (rungs > 1)}, then {kept}{label}": (rungs, kept, signal)
    for signal, label in (("loss", ""), ("averaged_loss", ", averaged"))
    for rungs in (1, 3, 5)
    for kept in (3, 5)
}


@dataclass(frozen=True)
class Rounds:
    """The rule on a stream.

    Attributes:
        stream: Makes the stream of suggestions; drawn at random.
        rungs: For everyone.
        kept: How many go on.
        signal: Column by which they are ranked: "loss" or "averaged_loss".
    """

    stream: Callable[[], Stream]
    rungs: int
    kept: int
    signal: str = "loss"

    def __call__(self, table: Table, *, seed: int, cost: float, workers: int = 1) -> Trace:
        """One sweep. Workers share a round's runs, and cost the same together as one alone."""
        rng = np.random.default_rng([7, seed])
        stream = self.stream()
        spent, price = stream.begin(table, seed), table.price("evaluate")
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        whole, mark = table.budget + price, table.marks[self.rungs - 1]
        trace = Trace()
        while spent / whole < cost:
            pool = []
            for _ in range(POOL[stream.name]):
                trial = study.ask()
                cell = table.snap(*stream.choose(trial))
                chosen = int(rng.choice(table.split(cell, seed)[0]))
                run = table.runs[cell][chosen]
                lost = 0 < run.diverged_at <= mark
                spent += run.diverged_at if lost else mark + price
                pool.append((self._rank(run), trial, cell, run))
            pool.sort(key=lambda entry: (entry[0], entry[1].number))
            for place, (rank, trial, cell, run) in enumerate(pool):
                trace.trials += 1
                if place >= self.kept or math.isinf(rank) or run.diverged_at:
                    if place < self.kept and math.isfinite(rank):
                        spent += run.diverged_at - mark
                    trace.stopped += 1
                    trace.stops.append(cell)
                    study.tell(trial, state=TrialState.PRUNED)
                    continue
                spent += table.budget - mark + price
                trial.set_user_attr(CELL_KEY, list(cell))
                study.tell(trial, run.final)
                recommend(trace, table, seed, study, spent / whole)
        trace.cost = spent / whole
        return trace

    def _rank(self, run: Run) -> float:
        value = float(run.rungs[self.signal][self.rungs - 1])
        return value if math.isfinite(value) else math.inf
