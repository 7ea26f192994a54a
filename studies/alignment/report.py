"""Make results.md from raw/: measured relative best peaks beside the bound's and the mean's."""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from lrsearch.schedules import Schedule
from lrsearch.search._alignment import EXPONENT
from lrsearch.theory import convex_bound

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from run import SHAPES, octaves  # noqa: E402

DRAWS = 500
FIRST = 0.386  # the one contrast that was known before: 0.34 octaves where the bound says 0.88
DIVERGED = 9.0  # log metric of a run that is no longer finite


def best(document: dict, shape: str, seeds: np.ndarray) -> tuple[float, float, bool]:
    """Best octave and its mean log metric by a parabola, and whether it lies at the grid's end."""
    runs = [run for run in document["runs"] if run["shape"] == shape]
    x = np.log2([run["peak"] for run in runs])
    logs = np.array([[np.log(m) if m else DIVERGED for m in run["metrics"]] for run in runs])
    y = logs[:, seeds].mean(axis=1)
    i = int(np.argmin(y))
    if i in (0, len(y) - 1) or max(y[i - 1], y[i + 1]) >= DIVERGED / 2:
        return float(x[i]), float(y[i]), i in (0, len(y) - 1)
    bend = y[i - 1] - 2 * y[i] + y[i + 1]
    shift = 0.5 * (y[i - 1] - y[i + 1]) / bend if bend > 0 else 0.0
    depth = y[i] - 0.125 * (y[i - 1] - y[i + 1]) ** 2 / bend if bend > 0 else y[i]
    return float(x[i] + shift * (x[1] - x[0])), float(depth), False


def rules() -> dict[str, dict[str, float]]:
    """Octaves relative to linear that each rule says, by shape."""
    bound, mean = {}, {}
    for shape, (family, parameters) in SHAPES.items():
        bound[shape] = octaves(family, parameters)
        mean[shape] = -float(np.log2(2 * Schedule(family, 1.0, 400, parameters).mean_factor))
    return {"bound": bound, "mean": mean}


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def slope(said: np.ndarray, seen: np.ndarray) -> float:
    """Least squares through the origin."""
    return float(said @ seen / (said @ said))


def main() -> None:
    documents = [json.loads(path.read_text()) for path in sorted((HERE / "raw").glob("*.json"))]
    others = [shape for shape in SHAPES if shape != "linear"]
    said = rules()
    rng = np.random.default_rng(0)
    lines = [
        "# Alignment: results",
        "",
        "log2 of the best peak over linear decay's, by a parabola through the mean log validation",
        "loss (4 seeds); in brackets the standard deviation over resampled seeds, the same for",
        "both; `<` or `>`: at the end of the grid. Last rows: what the rules say.",
        "",
        "| task | " + " | ".join(others) + " |",
        "|---" * (len(others) + 1) + "|",
    ]
    gaps = np.empty((len(documents), len(others)))
    heights = np.empty_like(gaps)
    for d, document in enumerate(documents):
        everyone = np.arange(document["seeds"])
        base, floor, _ = best(document, "linear", everyone)
        cells = []
        for s, shape in enumerate(others):
            top, depth, at_end = best(document, shape, everyone)
            gaps[d, s], heights[d, s] = top - base, depth - floor
            draws = []
            for _ in range(DRAWS):
                seeds = rng.integers(0, document["seeds"], document["seeds"])
                draws.append(best(document, shape, seeds)[0] - best(document, "linear", seeds)[0])
            mark = "" if not at_end else "<" if top < base else ">"
            cells.append(f"{mark}{gaps[d, s]:+.2f} ({np.std(draws):.2f})")
        lines.append(f"| {document['task']} | " + " | ".join(cells) + " |")
    lines.append(
        "| mean of all tasks | " + " | ".join(f"{g:+.2f}" for g in gaps.mean(axis=0)) + " |"
    )
    for rule, values in said.items():
        lines.append(f"| rule: {rule} | " + " | ".join(f"{values[s]:+.2f}" for s in others) + " |")

    lines += [
        "",
        "## How much of what a rule says",
        "",
        "Slope through the origin of the measured octaves on the rule's, its range when one task",
        "is left out, and the root mean square of what remains (octaves): with the slope fitted on",
        "the other tasks, with the rule as it is (slope 1), with the first exponent and the",
        "present one. The control permutes the rule's values between shapes (mean over 500).",
        "",
        "| rule | slope | leaving a task out | rms, slope from others | rms, slope 1 "
        f"| rms, exponent {FIRST} | rms, exponent {EXPONENT} | rms, permuted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    fashion = np.array([document["task"].startswith("fashion") for document in documents])
    for group, chosen in (("fashion", fashion), ("digits", ~fashion)):
        seen = gaps[chosen]
        for rule, values in said.items():
            x = np.tile([values[s] for s in others], (len(seen), 1))
            outs, rest = [], []
            for d in range(len(seen)):
                keep = np.arange(len(seen)) != d
                outs.append(slope(x[keep].ravel(), seen[keep].ravel()))
                rest.append(seen[d] - outs[-1] * x[d])
            permuted = []
            for _ in range(DRAWS):
                p = np.tile(rng.permutation(x[0]), (len(seen), 1))
                permuted.append(rms(seen - slope(p.ravel(), seen.ravel()) * p))
            lines.append(
                f"| {group}: {rule} | {slope(x.ravel(), seen.ravel()):.2f} "
                f"| {min(outs):.2f} to {max(outs):.2f} | {rms(np.array(rest)):.2f} "
                f"| {rms(seen - x):.2f} | {rms(seen - FIRST * x):.2f} "
                f"| {rms(seen - EXPONENT * x):.2f} "
                f"| {np.mean(permuted):.2f} |"
            )
        lines.append(f"| {group}: none | 0 | | {rms(seen):.2f} | | | | |")

    bounds = {
        shape: convex_bound(Schedule(family, 1.0, 400, parameters)).optimal_value
        for shape, (family, parameters) in SHAPES.items()
    }
    lines += [
        "",
        "## Which shape is best",
        "",
        "Log validation loss at each shape's own best peak, less linear decay's (below 0 is",
        "better), and the rank correlation with the bound (its log ratio in the last row).",
        "",
        "| task | " + " | ".join(others) + " | Spearman with the bound |",
        "|---" * (len(others) + 2) + "|",
    ]
    excess = [float(np.log(bounds[s] / bounds["linear"])) for s in others]
    for document, row in zip(documents, heights, strict=True):
        rank = spearmanr([0.0, *row], [0.0, *excess]).statistic
        cells = " | ".join(f"{value:+.3f}" for value in row)
        lines.append(f"| {document['task']} | {cells} | {rank:.2f} |")
    lines.append("| bound | " + " | ".join(f"{value:+.3f}" for value in excess) + " | |")
    environment = documents[0]["environment"]
    lines += ["", "Environment: " + ", ".join(f"{k} {v}" for k, v in environment.items()) + "."]
    text = "\n".join(lines) + "\n"
    (HERE / "results.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
