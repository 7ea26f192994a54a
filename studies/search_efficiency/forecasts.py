"""How well a signal at a rung says where a run will end, among contenders only.

    python forecasts.py [--tables fashion_sgd ...] [--streams 300]

- Spearman's rank correlation of the signal with the final test loss of the same run
- log-score: mean log density of the final validation loss under a Gaussian about the signal, in
  nats of log loss; its offset and width at each rung are fitted on development tables (`freeze.py`)
- how often keeping the three best of a stream of 16 by the signal loses the stream's best

Contenders are runs of cells whose truth is within 1.5 times the best; the hopeless are told apart
by anything.
"""

import math
from typing import Any

import numpy as np
import raw
import streams
from measures import judged
from scipy.stats import norm, spearmanr
from table import Run, Table

SIGNALS = {
    "training loss": "train_loss",
    "validation loss": "loss",
    "averaged weights": "averaged_loss",
    "mini-cooldown": "cooled_loss",
}
RUNGS = (1, 2, 4, 8, 12, 16, 19)
CONTENDER = math.log(1.5)
SIZE, KEPT = 16, 3
FEWEST = 10  # contenders that a correlation needs
Fit = dict[str, dict[str, tuple[float, float]]]  # signal -> rung -> offset, width


def contenders(table: Table, within: float = CONTENDER) -> list[Run]:
    """Runs that end, of cells within 1.5 times the best, or another log loss of it."""
    near = (cell for cell, mu in table.truth.items() if mu <= table.best + within)
    runs = [run for cell in near for run in table.runs[cell].values()]
    return [run for run in runs if math.isfinite(run.test)]


def logs(runs: list[Run], signal: str, rung: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logs of the signal at a rung, of the final validation and of the final test loss."""
    seen = np.array([run.rungs[SIGNALS[signal]][rung - 1] for run in runs], float)
    final, test = (np.array([getattr(r, n) for r in runs], float) for n in ("final", "test"))
    known = np.isfinite(seen) & (seen > 0) & (final > 0) & (test > 0)
    return np.log(seen[known]), np.log(final[known]), np.log(test[known])


def fitted(tables: list[Table]) -> Fit:
    """Offset and width of ``log final - log signal`` over these tables, each weighing the same."""
    found: Fit = {}
    for signal in SIGNALS:
        for rung in RUNGS:
            rests = []
            for table in tables:
                seen, final, _ = logs(contenders(table), signal, rung)
                if len(seen) >= FEWEST:
                    rests.append(final - seen)
            if rests:
                means = np.array([rest.mean() for rest in rests])
                offset = float(means.mean())
                width = math.sqrt(np.mean([np.mean((rest - offset) ** 2) for rest in rests]))
                found.setdefault(signal, {})[str(rung)] = (offset, width)
    return found


def lost(table: Table, signal: str, rung: int, seed: int, tolerance: float) -> bool:
    """Whether the three best of a stream by the signal are all worse than the stream's best."""
    entries = streams.stream(table, SIZE, seed)
    seen = [float(e.run.rungs[SIGNALS[signal]][rung - 1]) for e in entries]
    order = np.argsort(np.where(np.isfinite(seen), seen, np.inf), kind="stable")
    kept = [int(i) for i in order[:KEPT]]
    return judged([table.judged(e.cell, seed) for e in entries], kept, 0.0, tolerance).wrong


def measured(table: Table, fit: Fit, count: int) -> dict[str, Any]:
    """All measures of all signals on a table, by signal and rung."""
    runs, tolerance = contenders(table), table.tolerance()
    found: dict[str, Any] = {}
    for signal in SIGNALS:
        for rung in (*RUNGS, len(table.marks)):
            seen, final, test = logs(runs, signal, rung)
            if len(seen) < FEWEST:
                continue
            row: dict[str, Any] = {"runs": len(seen)}
            row["spearman"] = round(float(spearmanr(seen, test).statistic), 4)
            if known := fit.get(signal, {}).get(str(rung)):
                scores = norm.logpdf(final, seen + known[0], known[1])
                row["log_score"] = round(float(scores.mean()), 4)
            row["lost"] = sum(lost(table, signal, rung, s, tolerance) for s in range(count)) / count
            found.setdefault(signal, {})[str(rung)] = row
    return {"contenders": len(runs), "streams": count, "signals": found}


def main() -> None:
    from freeze import frozen

    parser = raw.arguments(__doc__)
    parser.add_argument("--streams", type=int, default=300)
    options = parser.parse_args()
    fit = frozen()["forecasts"]
    raw.fill("forecasts", options.tables, lambda _, table: measured(table, fit, options.streams))


if __name__ == "__main__":
    main()
