"""Tables of raw/: results.md. Intervals are 95 %, resampling tasks, then sweeps within them."""

from pathlib import Path

import numpy as np
from results import Results, quantile

HERE = Path(__file__).parent
PAIRS = (  # pausing against stopping, the same signal
    ("e: pause, annealed", "d: ASHA, annealed"),
    ("e: pause, annealed, 16 kept", "d: ASHA, annealed"),
    ("e: pause, annealed, 4 kept", "d: ASHA, annealed"),
    ("e: promotion, annealed", "d: ASHA, annealed"),
    ("e: best of open, annealed", "d: ASHA, annealed"),
    ("f: pause, annealed, + decide", "d: ASHA, annealed, + decide"),
    ("f: pause, annealed, + decide, 4 kept", "d: ASHA, annealed, + decide"),
    ("e: pause, annealed", "d: ASHA, annealed, eta 2.4"),
    ("pause, annealed, eta 4", "ASHA, annealed, eta 4"),
    ("pause, paired", "ASHA, paired"),
    ("pause, loss", "c: ASHA, loss"),
    ("control: pause, shuffled", "control: ASHA, shuffled"),
    ("ceiling: pause, final metric", "ceiling: ASHA, final metric"),
)
SIGNALS = (  # stopping only: what the signal is worth
    ("b: decide", "a: no stopping"),
    ("d: ASHA, annealed", "c: ASHA, loss"),
    ("ASHA, paired", "c: ASHA, loss"),
    ("d: ASHA, annealed", "control: ASHA, shuffled"),
    ("d: ASHA, annealed, + decide", "b: decide"),
    ("e: pause, annealed", "control: pause, shuffled"),
)


def names(results: Results) -> list[str]:
    """Policies in the order of run.py."""
    return list(dict.fromkeys(key.split(" | ")[0] for key in results.documents[0]["sweeps"]))


def sweeps(results: Results, workers: int, price: float) -> list[str]:
    """Table: sweeps of 20 trials."""
    lines = [
        "| policy | cost of the sweep | T50 / T90, 2 % (found) | T50 / T90, raised (found) "
        "| first run within 2 % of the stream's best, T50 / T90, pauses free "
        "| winner lost (worst task) | wrong stops (worst) | pauses / resumed "
        "| most kept (mean / largest) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in names(results):
        key = f"{name} | {workers}"

        def of(column: str, key: str = key) -> np.ndarray:
            return results.get("sweeps", key, column, price)

        strict, raised, hit = of("found"), of("found raised"), of("hit")
        lost, wrong, peak = of("lost"), of("wrong"), of("peak")
        shares = [f"{np.isfinite(v).mean():.0%}" for v in (strict, raised)]
        lines.append(
            f"| {name} | {of('cost').mean():.1f} "
            f"| {quantile(strict, 0.5)} / {quantile(strict, 0.9)} ({shares[0]})"
            f" | {results.quantile(raised, 0.5)} / {quantile(raised, 0.9)} ({shares[1]}) "
            f"| {quantile(hit, 0.5)} / {quantile(hit, 0.9)} "
            f"| {lost.mean():.0%} ({lost.mean(axis=1).max():.0%}) "
            f"| {wrong.mean():.0%} ({wrong.mean(axis=1).max():.0%}) "
            f"| {of('pauses').mean():.1f} / {of('resumes').mean():.1f} "
            f"| {peak.mean():.1f} / {peak.max():.0f} |"
        )
    return lines


def equal(results: Results, workers: int, price: float) -> list[str]:
    """Table: the same cost for all."""
    lines = [
        "| policy | found, 2 % | found, raised | cost until the find, at most the limit "
        "| regret (log) | worst task's regret | trials begun | most kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names(results):
        key = f"{name} | {workers}"
        regret = results.get("equal", key, "regret", price)
        strict = results.get("equal", key, "found", price)
        raised = results.get("equal", key, "found raised", price)
        lines.append(
            f"| {name} | {np.isfinite(strict).mean():.0%} | {np.isfinite(raised).mean():.0%} "
            f"| {results.spent(key, price).mean():.2f} | {regret.mean():.3f} "
            f"| {regret.mean(axis=1).max():.2f} "
            f"| {results.get('equal', key, 'started').mean():.1f} "
            f"| {results.get('equal', key, 'peak').mean():.1f} |"
        )
    return lines


def pairs(results: Results, chosen: tuple, price: float, workers: int) -> list[str]:
    """Table: paired differences, first minus second."""
    lines = [
        "| first minus second | 20 trials: cost | 20 trials: winner lost (points) "
        "| 20 trials: wrong stops (points) | equal cost: cost until the find "
        "| equal cost: found, raised (points) | equal cost: regret (log) |",
        "|---|---|---|---|---|---|---|",
    ]
    for first, second in chosen:

        def gap(column: str, part: str = "sweeps", names: tuple = (first, second)) -> np.ndarray:
            one, two = (results.get(part, f"{n} | {workers}", column, price) for n in names)
            if column.startswith("found"):
                one, two = np.isfinite(one), np.isfinite(two)
            return one.astype(float) - two

        one, two = (results.spent(f"{n} | {workers}", price) for n in (first, second))
        lines.append(
            f"| {first} - {second} | {results.mean(gap('cost'))} "
            f"| {results.mean(gap('lost'), 100, 1)} | {results.mean(gap('wrong'), 100, 1)} "
            f"| {results.mean(one - two)} | {results.mean(gap('found raised', 'equal'), 100, 1)} "
            f"| {results.mean(gap('regret', 'equal'), 1, 3)} |"
        )
    return lines


def parallel(results: Results, price: float) -> list[str]:
    """Table: the number of workers."""
    lines = [
        "| policy | workers | cost | time (run lengths) | T50, raised | winner lost | pauses "
        "| most kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    chosen = dict.fromkeys(n for pair in (PAIRS[0], PAIRS[3], PAIRS[5]) for n in reversed(pair))
    for name in chosen:
        for workers in (1, 4, 8):
            key = f"{name} | {workers}"
            lines.append(
                f"| {name} | {workers} | {results.get('sweeps', key, 'cost', price).mean():.1f} "
                f"| {results.get('sweeps', key, 'time').mean():.2f} "
                f"| {quantile(results.get('sweeps', key, 'found raised', price), 0.5)} "
                f"| {results.get('sweeps', key, 'lost').mean():.0%} "
                f"| {results.get('sweeps', key, 'pauses').mean():.1f} "
                f"| {results.get('sweeps', key, 'peak').mean():.1f} |"
            )
    return lines


def per_task(results: Results) -> list[str]:
    """Table: one row a task."""
    stop, pause = PAIRS[0][1], PAIRS[0][0]
    lines = [
        "| task | raised tolerance | winner lost: stop, pause, loss | found at equal cost, raised: "
        "stop, pause | cost until the find: stop, pause |",
        "|---|---|---|---|---|",
    ]
    keys = [f"{n} | 4" for n in (stop, pause, "c: ASHA, loss")]
    lost = [results.get("sweeps", key, "lost").mean(axis=1) for key in keys]
    share = [
        np.isfinite(results.get("equal", f"{n} | 4", "found raised")).mean(axis=1)
        for n in (stop, pause)
    ]
    spent = [results.spent(f"{n} | 4", 0.0).mean(axis=1) for n in (stop, pause)]
    for i, d in enumerate(results.documents):
        lines.append(
            f"| {d['task']} | {d['raised']:.1%} | {lost[0][i]:.0%}, {lost[1][i]:.0%}, "
            f"{lost[2][i]:.0%} | {share[0][i]:.0%}, {share[1][i]:.0%} "
            f"| {spent[0][i]:.2f}, {spent[1][i]:.2f} |"
        )
    return lines


def main() -> None:
    """Write results.md."""
    results = Results()
    setting = results.setting
    lines = [
        "# Results",
        "",
        "Made by report.py from raw/; development tasks, nothing is claimed.",
        "",
    ]
    lines += [", ".join(f"{k} {v}" for k, v in setting.items()) + ".", ""]
    parts = [
        (
            "Sweeps of 20 trials, four workers, a pause with its resumption 1 % of a run",
            sweeps(results, 4, 0.01),
        ),
        (
            f"Equal cost, {setting['limit']:.0f} runs, four workers, pauses 1 %",
            equal(results, 4, 0.01),
        ),
    ]
    for price in (0.0, 0.01, 0.05):
        parts.append(
            (
                f"Pausing minus stopping, pauses {100 * price:g} % of a run, four workers",
                pairs(results, PAIRS, price, 4),
            )
        )
    title = "Pausing minus stopping, pauses {:g} % of a run, one worker"
    parts += [(title.format(100 * price), pairs(results, PAIRS, price, 1)) for price in (0.0, 0.01)]
    parts.append(("Equal cost, 10 runs, one worker, pauses free", equal(results, 1, 0.0)))
    fashion = Results("fashion")
    parts += [
        (
            "Fashion-MNIST, where 2 % is admissible: pausing minus stopping, pauses free",
            pairs(fashion, PAIRS, 0.0, 4),
        ),
        ("The same three: sweeps of 20 trials, pauses 1 %", sweeps(fashion, 4, 0.01)),
        ("What the signals are worth, four workers", pairs(results, SIGNALS, 0.0, 4)),
        ("Workers, pauses 1 %", parallel(results, 0.01)),
        ("By task, four workers, pauses free", per_task(results)),
    ]
    for title, table in parts:
        lines += [f"## {title}", "", *table, ""]
    (HERE / "results.md").write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
