"""Replay stopping, and pausing and resuming, on the recorded runs of studies/first_edge.

    python studies/freeze_thaw/run.py [TASK ...]   # one file a task in raw/, then results.md

One thread, a few minutes, no training. Every policy sees the same streams.
"""

import gzip
import json
import platform
import sys
from pathlib import Path

import numpy as np
import report
from replay import Policy, Sweep, replay, segments, signal
from table import WORST, Table, load_all

import lrsearch

RAW = Path(__file__).parent / "raw"
SWEEPS, TRIALS, WORKERS = 200, 20, (1, 4, 8)
# The second question, at equal cost: a longer stream, cut when this much was spent.
LONG, LIMIT = 40, 10.0
PRICES = (0.0, 0.01, 0.05)  # of a pause with its resumption, as a share of a run; half each
EARLY = (1 / 16, 1 / 4)
POLICIES = (
    Policy("a: no stopping"),
    Policy("b: decide", decide=True),
    Policy("c: ASHA, loss", "loss"),
    Policy("c: ASHA, loss of one batch", "batch"),
    Policy("d: ASHA, annealed", "annealed"),
    Policy("d: ASHA, annealed, + decide", "annealed", decide=True),
    Policy("e: pause, annealed", "annealed", "same"),
    Policy("e: pause, annealed, 16 kept", "annealed", "same", cap=16),
    Policy("e: pause, annealed, 4 kept", "annealed", "same", cap=4),
    Policy("e: promotion, annealed", "annealed", "strict"),
    Policy("e: best of open, annealed", "annealed", "open"),
    Policy("f: pause, annealed, + decide", "annealed", "same", decide=True),
    Policy("f: pause, annealed, + decide, 4 kept", "annealed", "same", decide=True, cap=4),
    Policy("pause, loss", "loss", "same"),
    # Spends about what pausing does, so that the two can be compared.
    Policy("d: ASHA, annealed, eta 2.4", "annealed", eta=2.4),
    Policy("ASHA, paired", "paired"),
    Policy("pause, paired", "paired", "same"),
    Policy("ASHA, annealed, eta 4", "annealed", eta=4, rungs=EARLY),
    Policy("pause, annealed, eta 4", "annealed", "same", eta=4, rungs=EARLY),
    Policy("control: ASHA, shuffled", "annealed", shuffled=True),
    Policy("control: pause, shuffled", "annealed", "same", shuffled=True),
    Policy("ceiling: ASHA, final metric", "oracle"),
    Policy("ceiling: pause, final metric", "oracle", "same"),
)


def found(table: Table, runs: np.ndarray, done: list, tolerance: float) -> float | None:
    """Cost from which the best complete run's rate is within the tolerance, to the end."""
    best, since = np.inf, None
    for cost, run in zip(done, runs, strict=True):
        if table.log_metric[run] >= best:
            continue
        best = table.log_metric[run]
        good = table.mu[table.rate[run]] <= table.mu.min() + tolerance
        since = (cost if since is None else since) if good else None
    return since


def measures(
    table: Table, stream: np.ndarray, outcome, base: float, limit: float, prices: tuple
) -> dict:
    """Everything that the report needs of one sweep."""
    metric = table.log_metric[stream]
    row: dict[str, object] = {
        "cost": base + outcome.cost, "time": outcome.time, "pauses": outcome.pauses,
        "resumes": outcome.resumes, "transfers": outcome.transfers, "peak": outcome.peak,
        "started": outcome.started, "complete": len(outcome.completions),
    }  # fmt: skip
    for price in prices:
        costs = [base + cost + 0.5 * price * n for cost, n, _ in outcome.completions]
        kept = [(c, t) for c, (_, _, t) in zip(costs, outcome.completions, strict=True)]
        kept = [(c, t) for c, t in kept if c <= limit]
        done, trials = [c for c, _ in kept], np.array([t for _, t in kept], int)
        key = f"{price:g}"
        row[f"found {key}"] = found(table, stream[trials], done, np.log(1.02))
        row[f"found raised {key}"] = found(table, stream[trials], done, table.tolerance)
        regret = WORST
        if len(trials):
            chosen = stream[trials[np.argmin(metric[trials])]]
            regret = min(WORST, table.mu[table.rate[chosen]] - table.mu.min())
        row[f"regret {key}"] = float(regret)
    ended = np.array([t for _, _, t in outcome.completions], int)
    row["lost"] = bool(int(np.argmin(metric)) not in ended)
    mu = table.mu[table.rate[stream]]
    row["wrong"] = bool(not len(ended) or mu[ended].min() > mu.min() + np.log(1.02))
    near = [c for c, _, t in outcome.completions if metric[t] <= metric.min() + np.log(1.02)]
    row["hit"] = base + near[0] if near else None
    return row


def sweeps(table: Table, policy: Policy, workers: int, trials: int, limit: float) -> dict:
    """All sweeps of one policy, as columns."""
    stretches = segments(table, policy)
    prices = PRICES if policy.pause else PRICES[:1]
    rows = []
    for number in range(SWEEPS):
        rng = np.random.default_rng([sum(map(ord, table.name)), number, trials])
        stream, calibration = table.stream(rng, trials)
        speeds = rng.uniform(0.95, 1.05, trials)
        values = signal(table, policy, stream, rng)
        base = float(table.calibration[calibration])
        sweep = Sweep(policy, [stretches[i] for i in stream], values)
        outcome = replay(sweep, workers, speeds, limit - base)
        rows.append(measures(table, stream, outcome, base, limit, prices))
    return {
        key: [round(r[key], 4) if isinstance(r[key], float) else r[key] for r in rows]
        for key in rows[0]
    }


def main() -> None:
    """Replay, record, report."""
    RAW.mkdir(exist_ok=True)
    for table in load_all():
        if sys.argv[1:] and table.name not in sys.argv[1:]:
            continue
        document = {
            "task": table.name,
            "raised": float(np.expm1(table.tolerance)),
            "sweeps": {
                f"{policy.name} | {w}": sweeps(table, policy, w, TRIALS, np.inf)
                for policy in POLICIES
                for w in WORKERS
            },
            "equal": {
                f"{policy.name} | {w}": sweeps(table, policy, w, LONG, LIMIT)
                for policy in POLICIES
                for w in WORKERS[:2]
            },
        }
        text = json.dumps(document, separators=(",", ":")).encode()
        with gzip.GzipFile(RAW / f"{table.name}.json.gz", "wb", mtime=0) as file:
            file.write(text)
        print(table.name, flush=True)
    environment = {
        "lrsearch": lrsearch.__version__, "numpy": np.__version__,
        "python": platform.python_version(), "machine": platform.machine(), "threads": 1,
        "sweeps": SWEEPS, "trials": TRIALS, "long": LONG, "limit": LIMIT,
    }  # fmt: skip
    (RAW / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")
    report.main()


if __name__ == "__main__":
    main()
