"""Recorded runs of studies/first_edge as tables to replay: costs, signals, truth of cells."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrsearch.search import decide
from lrsearch.stability import Reading

RECORDS = Path(__file__).parent.parent / "first_edge" / "raw"
# Peak of the prior over rates, as lrsearch samples them: octaves around the calibration's edge.
SPREAD, BOUND = 1.25, 3.0
TOLERANCE = np.log(1.02)
WORST = 3.0  # a log loss further from the best than this counts as this
# loss: mean training loss since the last reading; annealed: loss of averaged weights on one batch;
# paired: that mean loss times the ratio of averaged over current weights' losses on one batch.
SIGNALS = ("loss", "batch", "annealed", "paired", "oracle")


@dataclass(frozen=True)
class Table:
    """One task: 64 runs in order of rate, then seed.

    Attributes:
        name: Task.
        rate: Index of each run's rate.
        log_metric: Final log validation loss of each run, infinite where it diverged.
        mu: Mean of it over seeds for each rate.
        tolerance: Raised tolerance that METRICS.md admits for this table (log).
        octaves: Rates in octaves.
        edges: Calibrated edges in octaves, one a calibration.
        calibration: Their costs in full-run equivalents.
        step: Probe positions as shares of the budget.
        watch: Cost of watching up to each probe as a share of the budget.
        last: Index of each run's last probe.
        finite: Whether the run reached its end.
        decided: Index of the probe at which `decide` stops the run, or -1.
        signals: Name -> (runs, probes), infinite where missing.
    """

    name: str
    rate: np.ndarray
    log_metric: np.ndarray
    mu: np.ndarray
    tolerance: float
    octaves: np.ndarray
    edges: np.ndarray
    calibration: np.ndarray
    step: np.ndarray
    watch: np.ndarray
    last: np.ndarray
    finite: np.ndarray
    decided: np.ndarray
    signals: dict[str, np.ndarray]

    def probe(self, share: float) -> int:
        """Index of the probe nearest to this share of the budget."""
        return int(np.argmin(abs(self.step - share)))

    def stream(self, rng: np.random.Generator, trials: int) -> tuple[np.ndarray, int]:
        """Distinct runs in the order in which a sweep would start them, and the calibration."""
        calibration = int(rng.integers(len(self.edges)))
        drawn: list[int] = []
        while len(drawn) < trials:
            octave = rng.normal(0.0, SPREAD)
            if abs(octave) > BOUND:
                continue
            rate = int(np.argmin(abs(self.octaves - self.edges[calibration] - octave)))
            free = [int(i) for i in np.flatnonzero(self.rate == rate) if int(i) not in drawn]
            if free:
                drawn.append(int(rng.choice(free)))
        return np.array(drawn), calibration


def _interaction(logs: np.ndarray) -> float:
    """Seed-by-cell standard deviation among the five best rates, after rate and seed effects."""
    best = logs[np.argsort(logs.mean(axis=1))[:5]]
    best = best[np.isfinite(best).all(axis=1)]
    left = best - best.mean(axis=1, keepdims=True) - best.mean(axis=0) + best.mean()
    rows, columns = best.shape
    return float(np.sqrt((left**2).sum() / ((rows - 1) * (columns - 1))))


def load(path: Path) -> Table:
    """Read one task's record."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    runs = sorted(document["runs"], key=lambda r: (r["peak"], r["seed"]))
    budget = document["budget"]
    peaks = sorted({r["peak"] for r in runs})
    log_metric = np.array([np.log(r["metric"]) if r["metric"] else np.inf for r in runs])
    by_rate = log_metric.reshape(len(peaks), -1)
    readings = [[Reading.from_dict(p) for p in r["readings"]] for r in runs]
    longest = max(readings, key=len)
    signals = {name: np.full((len(runs), len(longest)), np.inf) for name in SIGNALS}
    decided = np.full(len(runs), -1)
    for i, probes in enumerate(readings):
        for k, reading in enumerate(probes):
            loss, batch, annealed = reading.loss, reading.batch_loss, reading.annealed_loss
            signals["loss"][i, k] = np.inf if loss is None else loss
            signals["batch"][i, k] = np.inf if batch is None else batch
            signals["annealed"][i, k] = np.inf if annealed is None else annealed
            if loss is not None and batch and annealed is not None:
                signals["paired"][i, k] = loss * annealed / batch
            if decided[i] < 0 and decide(probes[: k + 1]).stop:
                decided[i] = k
        signals["oracle"][i] = log_metric[i]
    last = np.array([len(probes) - 1 for probes in readings])
    noise = 2 * np.sqrt(2) * _interaction(by_rate) / np.sqrt(by_rate.shape[1])
    return Table(
        name=document["task"],
        rate=np.array([peaks.index(r["peak"]) for r in runs]),
        log_metric=log_metric,
        mu=by_rate.mean(axis=1),
        tolerance=max(TOLERANCE, noise),
        octaves=np.log2(peaks),
        edges=np.log2([e["learning_rate"] for e in document["edges"]]),
        calibration=np.array([e["cost"] for e in document["edges"]]) / budget,
        step=np.array([r.step for r in longest]) / budget,
        watch=np.array([r.cost for r in longest]) / budget,
        last=last,
        finite=(last == len(longest) - 1) & np.isfinite(log_metric),
        decided=decided,
        signals=signals,
    )


def load_all() -> list[Table]:
    """All recorded tasks."""
    paths = sorted(p for p in RECORDS.glob("*.json.gz"))
    return [load(path) for path in paths]
