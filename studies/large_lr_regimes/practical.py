"""Does the band of a regime map hold the best start, and is its scale better than the edge's?

    python studies/large_lr_regimes/practical.py

Nothing is trained: the recorded tables of studies/search_efficiency hold WSD runs over a grid of
rates, which are what `lrsearch regimes` would have trained. For every task and seed, the map of all
recorded rates and the map of the rates that bracketing would have chosen (each snapped to the
nearest recorded one) are set against the rate that is best for WSD by all seeds on the test split.
The definitions of 1|2 and 2A, and where bracketing begins, were chosen on the development tables;
so was the third scale, the rate of the lowest held-out loss before annealing, once 1|2 had been
seen to lie above the best rate wherever training sees its examples many times.
"""

import json
import math
import sys
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
SEARCH = HERE.parent / "search_efficiency"
sys.path.insert(0, str(SEARCH))

import grid  # noqa: E402
import numpy as np  # noqa: E402
from table import Table  # noqa: E402

from lrsearch.stability import FixedRate, RegimeMap, next_rate, regime_map  # noqa: E402

DEVELOPMENT = (
    "fashion-sgd",
    "fashion-sgd-4000",
    "fashion-adam",
    "fashion-momentum-epochs",
    "fashion-cnn",
)
EVALUATION = (
    "mnist-nesterov",
    "mnist-nesterov-4000",
    "mnist-nesterov-wide",
    "mnist-rmsprop",
    "mnist-cnn",
    "shakespeare-adamw",
)
SHAPE = "wsd"
WINDOW = (0.68, 0.8)  # of the budget, where levels are read
FIRST = 0.25  # of the edge, as in `map_regimes`
FEWEST = 8  # rates of a seed
OUT = HERE / "raw" / "practical.json"


def fixed(table: Table, k: int, seed: int, rate: float, losses_of: str = "train_loss") -> FixedRate:
    """A recorded run as a regime map sees it, at a rate that it stands for."""
    run = table.runs[SHAPE, k][seed]
    low, high = (share * table.budget for share in WINDOW)
    at = [i for i, mark in enumerate(table.marks) if low <= mark <= high]
    losses = run.rungs[losses_of][at] if len(run.rungs[losses_of]) > at[-1] else []
    finite = len(losses) > 0 and bool(np.isfinite(losses).all())
    return FixedRate(
        rate=rate,
        start=table.start,
        losses=tuple(map(float, losses)) if finite else (),
        annealed=run.final if math.isfinite(run.final) else math.nan,
    )


def rate_of(k: int) -> float:
    return float(2.0 ** (k / grid.OCTAVE))


def bracketed(table: Table, ks: list[int], seed: int, edge: float) -> tuple[RegimeMap, int]:
    """The map of the rates that bracketing asks for, and how many they are."""
    seen: list[FixedRate] = []
    while (rate := next_rate(seen, FIRST * edge)) is not None:
        at = grid.OCTAVE * math.log2(rate)
        k = min(ks, key=lambda k: abs(k - at))
        beyond = k == max(ks) and at - k > grid.OCTAVE
        run = FixedRate(rate=rate, start=table.start, losses=())
        seen.append(run if beyond else fixed(table, k, seed, rate))
    return regime_map(seen), len(seen)


def row(table: Table, seed: int, ks: list[int]) -> dict[str, Any]:
    """One task and seed: thresholds in octaves from the best WSD rate, and what holds it."""
    edge = table.edge(seed)["learning_rate"]
    truth = {k: table.truth[SHAPE, k] for shape, k in table.runs if shape == SHAPE}
    best = min(truth, key=lambda k: truth[k])
    full = regime_map(fixed(table, k, seed, rate_of(k)) for k in ks)
    held_out = regime_map(fixed(table, k, seed, rate_of(k), "loss") for k in ks)
    few, runs = bracketed(table, ks, seed, edge)
    ratio = rate_of(best)
    picked = min(truth, key=lambda k: abs(k - grid.OCTAVE * math.log2(few.best.rate)))

    def octaves(rate: float) -> float:
        return math.log2(rate / ratio) if math.isfinite(rate) else math.inf

    return {
        "task": table.name,
        "seed": seed,
        "edge": octaves(edge),
        "convergence": octaves(full.convergence.rate),
        "held_out": octaves(held_out.convergence.rate),
        "good": octaves(full.good.rate),
        "divergence": octaves(full.divergence.low),
        "few_convergence": octaves(few.convergence.rate),
        "few_good": octaves(few.good.rate),
        "runs": runs,
        # None: its rate diverges with another seed.
        "given_up": found if math.isfinite(found := truth[picked] - truth[best]) else None,
    }


def rows() -> list[dict[str, Any]]:
    found = []
    for name in (*DEVELOPMENT, *EVALUATION):
        table = Table.read(SEARCH / "tables" / f"{name}.parquet")
        held = {k: set(runs) for (shape, k), runs in table.runs.items() if shape == SHAPE}
        for seed in sorted(set.union(*held.values())):
            ks = sorted(k for k, seeds in held.items() if seed in seeds)
            if len(ks) >= FEWEST:
                found.append(row(table, seed, ks))
        print(f"{name}: {sum(r['task'] == table.name for r in found)} seeds", flush=True)
    return found


def share(values: list[bool]) -> str:
    return f"{100 * sum(values) / len(values):.0f} %"


def rms(values: list[float]) -> float:
    return math.sqrt(sum(v * v for v in values) / len(values))


def apart(found: list[dict[str, Any]], threshold: str) -> float:
    """Octaves between a threshold of the rates that bracketing asks for and that of all rates."""
    return rms([r[f"few_{threshold}"] - r[threshold] for r in found])


def by_task(found: list[dict[str, Any]], names: tuple[str, ...], what: Any) -> list[float]:
    """One number a task: the median over its seeds, for every task weighs the same."""
    return [median(what(r) for r in found if r["task"] == n) for n in names]


def tables(found: list[dict[str, Any]]) -> list[str]:
    """The pages of results.md."""
    lines = [
        "| task | seeds | 1\\|2 | lowest held-out | 2A\\|2B | 2\\|3 (at least) | edge | "
        "best in 2A | best in 1\\|2 .. +2 octaves | runs of a map | its pick gives up |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for names in (DEVELOPMENT, EVALUATION):
        for name in names:
            some = [r for r in found if r["task"] == name]
            cells = [f"{median(r[c] for r in some):+.1f}" for c in COLUMNS]
            lines.append(
                f"| {name} | {len(some)} | {' | '.join(cells)} | "
                f"{share([inside(r) for r in some])} | {share([above(r) for r in some])} | "
                f"{median(r['runs'] for r in some):.0f} | "
                f"{100 * math.expm1(median(map(given_up, some))):.1f} % |"
            )
    lines.append("")
    for title, names in (("development", DEVELOPMENT), ("evaluation", EVALUATION)):
        spread = {
            what: by_task(found, names, lambda r, what=what: r[what])
            for what in ("convergence", "held_out", "edge")
        }
        centred = {w: rms([v - float(np.mean(s)) for v in s]) for w, s in spread.items()}
        some = [r for r in found if r["task"] in names]
        lines.append(
            f"- {title}: the best WSD rate lies in 2A in {share([inside(r) for r in some])} of the "
            f"maps, within two octaves above 1|2 in {share([above(r) for r in some])}, below 1|2 "
            f"in {share([r['convergence'] > 0 for r in some])}. Around their own means over tasks, "
            f"1|2 scatters by {centred['convergence']:.2f} octaves about the best rate, the rate "
            f"of the lowest held-out loss before annealing by {centred['held_out']:.2f}, the edge "
            f"by {centred['edge']:.2f}; a map takes {median(r['runs'] for r in some):.0f} runs. "
            f"From so few, 1|2 is {apart(some, 'convergence'):.2f} octaves (root mean square) off "
            f"that of all recorded rates, the end of 2A {apart(some, 'good'):.2f}."
        )
    return lines


COLUMNS = ("convergence", "held_out", "good", "divergence", "edge")


def given_up(r: dict[str, Any]) -> float:
    return math.inf if r["given_up"] is None else float(r["given_up"])


def inside(r: dict[str, Any]) -> bool:
    return bool(r["convergence"] <= 0 <= r["good"])


def above(r: dict[str, Any]) -> bool:
    return bool(r["convergence"] <= 0 <= r["convergence"] + 2)


if __name__ == "__main__":
    measured = rows()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(measured, indent=1, allow_nan=False) + "\n")
    page = "# The band of a regime map, on recorded tables\n\nOctaves from the best WSD rate, "
    page += "medians over seeds (negative: below it).\n\n" + "\n".join(tables(measured)) + "\n"
    (HERE / "practical.md").write_text(page)
    print(page)
