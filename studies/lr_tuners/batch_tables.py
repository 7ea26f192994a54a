"""Tables of part B: end-of-training loss by batch size, scale and averaging."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

ABOUT = (
    "Training loss at the end (mean of the last tenth of the steps) over the first, mean over"
    " seeds. Bold: the best sigma."
)


def mean_ratio(runs: list[dict[str, Any]]) -> float:
    """Mean over seeds; infinite where one has diverged."""
    return fmean(math.inf if r["ratio"] is None else r["ratio"] for r in runs)


def tuned(cell: dict[str, Any]) -> dict[str, Any]:
    rates = [r for r in cell["runs"] if "rate" in r and r["ratio"] is not None]
    return min(rates, key=lambda r: r["ratio"])


def minibatch(cells: list[dict[str, Any]]) -> list[str]:
    lines = []
    for kind in sorted({c["optimizer"] for c in cells}, reverse=True):
        of_kind = [c for c in cells if c["optimizer"] == kind]
        for decay in sorted({r["decay"] for c in of_kind for r in c["runs"] if "decay" in r}):
            sigmas = sorted({r["sigma"] for c in of_kind for r in c["runs"] if "sigma" in r})
            lines += ["", f"## {kind}, averaging {decay:g}", "", ABOUT, ""]
            heads = [f"sigma {s:g}" for s in sigmas]
            heads += ["best sigma, by seed", "tuned constant (rate)", "late rate of the best"]
            lines.append("| batch | seeds | " + " | ".join(heads) + " |")
            lines.append("|---" * (len(sigmas) + 5) + "|")
            for size in sorted({c["batch"] for c in of_kind}):
                members = [c for c in of_kind if c["batch"] == size]
                lines.append(row(members, size, decay, sigmas))
    return lines


def row(members: list[dict[str, Any]], size: int, decay: float, sigmas: list[float]) -> str:
    def of(cell: dict[str, Any], sigma: float) -> dict[str, Any]:
        return next(r for r in cell["runs"] if r.get("sigma") == sigma and r.get("decay") == decay)

    means = {s: mean_ratio([of(c, s) for c in members]) for s in sigmas}
    best = min(means, key=lambda s: means[s])
    cells = [
        ("diverged" if math.isinf(m) else f"{m:.4g}").join(("**", "**") if s == best else ("", ""))
        for s, m in means.items()
    ]
    own = [min(sigmas, key=lambda s: mean_ratio([of(c, s)])) for c in members]
    constants = [tuned(c) for c in members]
    rates = ", ".join(f"{r['rate']:.3g}" for r in constants)
    late = fmean(of(c, best)["rate_late"] for c in members)
    return (
        f"| {size} | {len(members)} | " + " | ".join(cells)
        + f" | {', '.join(f'{s:g}' for s in own)}"
        f" | {fmean(r['ratio'] for r in constants):.4g} ({rates}) | {late:.3g} |"
    )  # fmt: skip
