"""Tables of the loss-curve laws from raw/."""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from published import FIGURES, OPTIMUM, SIZES, TEST, TRAIN

HERE = Path(__file__).parent
SAME_LENGTH = tuple(name for name in TEST if "72000" not in name)
METRICS = ("r2", "mae", "rmse", "mean_relative", "worst_relative")


def load() -> dict[str, dict]:
    """All recorded sizes."""
    return {size: json.loads((HERE / "raw" / f"{size}.json").read_text()) for size in SIZES}


def coefficients(documents: dict[str, dict]) -> list[str]:
    """Table: the coefficients of every law."""
    lines = [
        "## Coefficients",
        "",
        "Learning rates in their own unit (peak 3e-4). The gain is B, or C of the annealing law.",
        "",
        "| size | law | L0 | A | alpha | gain | C | beta | gamma | seconds | said |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for size, d in documents.items():
        for name, entry in d["fits"].items():
            law = entry["law"]
            multi = law["law"] == "multi-power" and law["B"] > 0
            gain = law["B"] if law["law"] == "multi-power" else law["C"]
            shape = [f"{law[k]:.3g}" if multi else "" for k in ("C", "beta", "gamma")]
            said = entry["reason"].replace("`", "").replace(" termination condition", "")
            lines.append(
                f"| {size}M | {name} | {law['L0']:.4f} | {law['A']:.4f} | {law['alpha']:.4f} | "
                f"{gain:.4g} | " + " | ".join(shape) + f" | {entry['seconds']:.1f} | {said} |"
            )
    return lines


def mean(entry: dict, names: tuple[str, ...], metric: str) -> float:
    """Mean of a metric over curves, each with the same weight."""
    return float(np.mean([entry["curves"][name][metric] for name in names]))


def quality(documents: dict[str, dict]) -> list[str]:
    """Table: means over the six test curves beside the published ones."""
    lines = [
        "## The six test curves",
        "",
        "Means over the six curves, each with the same weight. R2 of a curve: 1 - sum of squared",
        "residuals of the loss / sum of squared deviations from the curve's own mean, over all its",
        "recorded losses. The last columns: R2 over the four test curves that are no longer than",
        "the training curves, over the two of 72,000 updates, and over the three training curves.",
        "",
        "| size | law | R2 | MAE | RMSE | mean relative | worst relative "
        "| R2, same length | R2, 72,000 | R2, training |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    longer = tuple(name for name in TEST if "72000" in name)
    for size, d in documents.items():
        figures = FIGURES[size]
        lines.append(
            f"| {size}M | as published | {figures[0]:.4f} | "
            + " | ".join(f"{value:.5f}" for value in figures[1:])
            + " |  |  |  |"
        )
        for name, entry in d["fits"].items():
            values = [mean(entry, TEST, metric) for metric in METRICS]
            groups = [mean(entry, group, "r2") for group in (SAME_LENGTH, longer, TRAIN)]
            fives = name.endswith("five curves")
            lines.append(
                f"| {size}M | {name}{' (two test curves seen)' if fives else ''} | "
                f"{values[0]:.4f} | "
                + " | ".join(f"{value:.5f}" for value in values[1:])
                + " | "
                + " | ".join(f"{value:.4f}" for value in groups)
                + " |"
            )
    return lines


def per_curve(documents: dict[str, dict]) -> list[str]:
    """Table: R2 of every curve."""
    names = (*TRAIN, *TEST)
    lines = ["## R2 of every curve", "", "The first three are the training curves.", ""]
    lines += ["| size | law | " + " | ".join(names) + " |", "|" + "---|" * (2 + len(names))]
    for size, d in documents.items():
        for law, entry in d["fits"].items():
            row = " | ".join(f"{entry['curves'][name]['r2']:.4f}" for name in names)
            lines.append(f"| {size}M | {law} | {row} |")
    return lines


def optima(documents: dict[str, dict]) -> list[str]:
    """Table: optimised schedules, and others, under every law."""
    usual = ("published", "wsd 20 % linear to 0", "linear to 0", "cosine to 0", "constant")
    lines = [
        "## Optimised schedules",
        "",
        "21,840 updates after the warm-up, peak 3e-4, end 0, 129 levels. Predicted final loss of",
        "our optimum, and how much more the others have under the same law.",
        "",
        "| size | law | optimum | " + " | ".join(usual) + " | seconds |",
        "|" + "---|" * (4 + len(usual)),
    ]
    for size, d in documents.items():
        for law, entry in d["optima"].items():
            more = [entry["usual"][name] - entry["loss"] for name in usual]
            lines.append(
                f"| {size}M | {law} | {entry['loss']:.6f} | "
                + " | ".join(f"{value:+.6f}" for value in more)
                + f" | {entry['seconds']:.2f} |"
            )
    lines += [
        "",
        "Under the published coefficients the published schedules have, by the authors' logs: "
        + ", ".join(f"{size}M {loss:.6f}" for size, loss in OPTIMUM.items())
        + "; here: "
        + ", ".join(
            f"{s}M {d['optima']['published']['usual']['published']:.6f}"
            for s, d in documents.items()
        )
        + ".",
        "",
        "Shape beside the published schedule of the same size: the update at which the rate first",
        "falls below 99 % and 50 % of the peak, the last rate, and the gap between both schedules,",
        "all as shares of the peak.",
        "",
        "| size | law | below 99 % from | (published) | below 50 % from | (published) | last "
        "| (published) | largest gap | mean gap |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for size, d in documents.items():
        for law, entry in d["optima"].items():
            a, b = entry["shape"], entry["published_shape"]
            lines.append(
                f"| {size}M | {law} | {a['decay_from']} | {b['decay_from']} | {a['half_at']} | "
                f"{b['half_at']} | {a['last']:.4f} | {b['last']:.4f} | {a['max_gap']:.4f} | "
                f"{a['mean_gap']:.4f} |"
            )
    return lines


def cross(documents: dict[str, dict]) -> list[str]:
    """Table: what laws think of each other's schedules."""
    lines = ["## What a law gives up with the schedule of another", ""]
    for size, d in documents.items():
        names = list(d["cross"])
        lines += [
            f"| {size}M: judged by | " + " | ".join(names) + " |",
            "|" + "---|" * (1 + len(names)),
        ]
        for by, row in d["cross"].items():
            lines.append(f"| {by} | " + " | ".join(f"{row[of]:+.5f}" for of in names) + " |")
        lines.append("")
    return lines[:-1]


def numerics(documents: dict[str, dict]) -> list[str]:
    """Tables: levels of the optimum, blocks of the fit."""
    counts = list(documents[SIZES[0]]["knots"])
    blocks = list(documents[SIZES[0]]["block_error"])
    lines = [
        "## Levels and blocks",
        "",
        "Final loss of the optimum by the number of levels, less that of the published schedule",
        "(free at every update), under the published coefficients; and the largest relative",
        "difference on the training curves between the law with decrements summed over blocks and",
        "the exact law.",
        "",
        "| size | "
        + " | ".join(f"{n} levels" for n in counts)
        + " | "
        + " | ".join(f"blocks of {n}" for n in blocks)
        + " |",
        "|" + "---|" * (1 + len(counts) + len(blocks)),
    ]
    for size, d in documents.items():
        published = d["optima"]["published"]["usual"]["published"]
        cells = [f"{d['knots'][n] - published:+.6f}" for n in counts]
        cells += [f"{d['block_error'][n]:.1e}" for n in blocks]
        lines.append(f"| {size}M | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    documents = load()
    parts = [f(documents) for f in (coefficients, quality, per_curve, optima, cross, numerics)]
    text = "\n".join(line for part in parts for line in [*part, ""])
    (HERE / "results.md").write_text("# Loss-curve laws: results\n\n" + text.rstrip() + "\n")
    print(text)
