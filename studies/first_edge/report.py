"""Tables of the first edge from raw/: where the best rate lies, and what the rules would stop."""

import gzip
import json
from pathlib import Path

import numpy as np

from lrsearch.curvature import vertex
from lrsearch.search import decide
from lrsearch.stability import Reading
from lrsearch.stability import _regimes as regimes

HERE = Path(__file__).parent
CONTENDER, HOPELESS = 1.05, 1.3  # metric over the best rate's


def load() -> list[dict]:
    """All recorded tasks."""
    paths = sorted((HERE / "raw").glob("*.json.gz"))
    return [json.loads(gzip.decompress(path.read_bytes())) for path in paths]


def by_rate(document: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Peaks in octaves (n,), mean log metric (n,), standard deviation over seeds (n,)."""
    peaks = sorted({run["peak"] for run in document["runs"]})
    logs = [
        [np.log(r["metric"]) if r["metric"] else np.inf for r in document["runs"] if r["peak"] == p]
        for p in peaks
    ]
    finite = [row if np.isfinite(row).all() else [np.inf] * len(row) for row in logs]
    spread = [np.std(row, ddof=1) if np.isfinite(row).all() else np.nan for row in finite]
    return np.log2(peaks), np.mean(finite, axis=1), np.array(spread)


def best_octave(document: dict) -> float:
    """Best peak in octaves: parabola through the best grid point and its neighbours."""
    x, y, _ = by_rate(document)
    i = int(np.argmin(y))
    if not 0 < i < len(x) - 1:
        return float(x[i])
    return float(x[i] + (x[1] - x[0]) * vertex(y[i - 1], y[i], y[i + 1]))


def regret(document: dict, octave: float) -> float:
    """Log metric given up at this peak, linear between grid points."""
    x, y, _ = by_rate(document)
    capped = np.minimum(y, np.min(y) + 3.0)
    return float(np.interp(octave, x, capped) - np.min(y))


def edges(documents: list[dict]) -> list[str]:
    """Table: best rate against the usual rate, the annealed runs and the edge."""
    names = {
        "usual": lambda d: np.log2(d["edges"][0]["usual_rate"]),
        "annealed runs": lambda d: np.mean([np.log2(e["proxy_rate"]) for e in d["edges"]]),
        "edge": lambda d: np.mean([np.log2(e["learning_rate"]) for e in d["edges"]]),
    }
    lines = [
        "| task | best peak | log2(best / usual) | log2(best / annealed) | log2(best / edge) "
        "| edge over 3 seeds (sd, octaves) | cost (full runs) | seed sd of log metric at best |",
        "|---|---|---|---|---|---|---|---|",
    ]
    gaps: dict[str, list[float]] = {name: [] for name in names}
    for d in documents:
        best = best_octave(d)
        row = {name: best - float(f(d)) for name, f in names.items()}
        for name, gap in row.items():
            gaps[name].append(gap)
        sd = np.std([np.log2(e["learning_rate"]) for e in d["edges"]], ddof=1)
        cost = np.mean([e["cost"] for e in d["edges"]]) / d["budget"]
        _, y, spread = by_rate(d)
        lines.append(
            f"| {d['task']} ({d['budget']}) | {2**best:.3g} | "
            + " | ".join(f"{row[name]:+.2f}" for name in names)
            + f" | {sd:.2f} | {cost:.2f} | {spread[np.argmin(y)]:.2f} |"
        )
    classes = np.array([d["class"] for d in documents])
    lines += [
        "",
        "| scale | median log2(best / scale), one constant | rms around it, leave-one-out |"
        " rms per class | median regret of training at it (log metric) |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        gap = np.array(gaps[name])
        loo = [gap[i] - np.median(np.delete(gap, i)) for i in range(len(gap))]
        per = ", ".join(
            f"{c} {np.std(gap[classes == c], ddof=1):.2f}" for c in sorted(set(classes))
        )
        lost = [
            regret(d, float(names[name](d)) + np.median(np.delete(gap, i)))
            for i, d in enumerate(documents)
        ]
        lines.append(
            f"| {name} | {np.median(gap):+.2f} | {np.sqrt(np.mean(np.square(loo))):.2f} | {per} | "
            f"{np.median(lost):.3f} |"
        )
    return lines


def rules(documents: list[dict]) -> list[str]:
    """Table: what `decide` would have stopped, and how early."""
    counts: dict[str, list[float]] = {"contender": [], "between": [], "hopeless": []}
    wrong: list[str] = []
    regimes: dict[str, int] = {}
    for d in documents:
        x, y, _ = by_rate(d)
        for run in d["runs"]:
            readings = [Reading.from_dict(r) for r in run["readings"]]
            worse = np.exp(y[np.argmin(abs(x - np.log2(run["peak"])))] - np.min(y))
            kind = (
                "contender" if worse <= CONTENDER else "hopeless" if worse > HOPELESS else "between"
            )
            stop = 1.0
            for i in range(len(readings)):
                verdict = decide(readings[: i + 1])
                if verdict.stop:
                    stop = readings[i].step / d["budget"]
                    regimes[f"{kind}: {verdict.regime}"] = (
                        regimes.get(f"{kind}: {verdict.regime}", 0) + 1
                    )
                    if kind == "contender":
                        wrong.append(f"{d['task']} at {run['peak']:.3g}: {verdict.reason}")
                    break
            counts[kind].append(stop)
    lines = ["| runs of a rate that is | runs | stopped | cost saved |", "|---|---|---|---|"]
    for kind, stops in counts.items():
        share = np.mean(np.array(stops) < 1) if stops else 0.0
        saved = 1 - np.mean(stops) if stops else 0.0
        lines.append(f"| {kind} | {len(stops)} | {share:.1%} | {saved:.1%} |")
    lines += ["", "Stopped, by rule: " + ", ".join(f"{k} {v}" for k, v in sorted(regimes.items()))]
    return [*lines, "", *(f"- wrong: {w}" for w in wrong)]


def guards(documents: list[dict]) -> list[str]:
    """Table: what the guard of "far below the edge" (SLOW_LOSS) trades."""
    lines = ["| guard | contenders stopped | hopeless runs: stopped, cost saved |", "|---|---|---|"]
    kept = regimes.SLOW_LOSS
    for guard in (0.0, 0.3, 0.5, 0.7):
        regimes.SLOW_LOSS = guard
        rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in rules(documents)}
        contender, hopeless = rows["contender"], rows["hopeless"]
        lines.append(f"| {guard} | {contender[2]} | {hopeless[2]}, {hopeless[3]}")
    regimes.SLOW_LOSS = kept
    return lines


def overhead() -> list[str]:
    """Table: wall time of watching, from overhead.json."""
    found = json.loads((HERE / "raw" / "overhead.json").read_text())["tasks"]
    lines = [
        "| task | steps | ms a step | own account | wall time with / without (median) |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {name} | {t['steps']} | {t['milliseconds_per_step']:.2f} | {t['own_account']:.1%} | "
        f"{t['wall_ratio_median']:.3f} |"
        for name, t in found.items()
    ]


if __name__ == "__main__":
    documents = load()
    parts = [edges(documents), rules(documents), guards(documents), overhead()]
    text = "\n".join(line for part in parts for line in [*part, ""])
    (HERE / "results.md").write_text(text)
    print(text)
