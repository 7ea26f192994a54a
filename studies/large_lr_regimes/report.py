"""Make results.md from raw/.

python studies/large_lr_regimes/report.py [--raw FOLDER] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parent))
from bands import NAMES
from files import HERE
from protocol import AVERAGE
from regimes import octaves
from results import Results, error

TITLES = {"tick": "A. Synthetic task of many features", "image": "B. Fashion-MNIST, convolutions"}


def percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}"


def row(cells: list[object]) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def head(names: list[str]) -> list[str]:
    return ["", row(list(names)), "|---" * len(names) + "|"]


def quality(r: Results) -> list[str]:
    """Test accuracy of everything, by first rate."""
    lines = ["", "### Quality", ""]
    lines += ["Test accuracy in %, mean over seeds; ± the largest standard error in the row.",
              "Epochs: median over the seeds that fit the data, and how many do."]  # fmt: skip
    tuned = [f"tuned at {s:.3g}" for s in r.second]
    names = ["first rate", "regime", "epochs", "train loss", "train", "test", *tuned]
    lines += head([*names, *r.averages, "±"])
    loss, train, test = (r.points("pretrained", f).mean(axis=0)
                         for f in ("train_loss", "train_accuracy", "test_accuracy"))  # fmt: skip
    averages = [r.points(k, "test_accuracy") for k in r.averages]
    all_ = [r.points("pretrained", "test_accuracy"), *r.tuned_accuracy, *averages]
    largest = np.max([error(values) for values in all_], axis=0)
    for i, rate in enumerate(r.rates):
        hits = r.converged[:, i][~np.isnan(r.converged[:, i])]
        epochs = f"{np.median(hits):.0f} ({len(hits)}/{r.seeds})" if len(hits) else "none"
        cells = [f"{rate:.3g}", r.labels[i], epochs, f"{loss[i]:.4f}", percent(train[i])]
        cells += [percent(test[i]), *(percent(a[:, i].mean()) for a in r.tuned_accuracy)]
        cells += [*(percent(a[:, i].mean()) for a in averages), percent(largest[i])]
        lines.append(row(list(cells)))
    return lines


def geometry(r: Results) -> list[str]:
    lines = ["", "### Geometry", ""]
    lines += [
        "Means over seeds: angle in radians, barriers of the error in points, between solutions",
        f"of the lowest and highest second rate, and between them and the average of {AVERAGE}.",
        "Spread: range over second rates of the mean test accuracy, in points; high - low: paired",
        "difference of the test accuracy, with its standard error.",
    ]
    gain = r.tuned_accuracy[-1] - r.tuned_accuracy[0]
    pairs = ("low, high", "low, average", "high, average")
    columns = [f"{p}: {f}" for p in pairs for f in ("angle", "train", "test")]
    lines += head(["first rate", "regime", "spread", "high - low", *columns])
    for i, rate in enumerate(r.rates):
        cells: list[object] = [f"{rate:.3g}", r.labels[i], percent(r.spread[i])]
        cells.append(f"{100 * gain[:, i].mean():+.1f} ± {percent(error(gain)[i])}")
        for p in range(3):
            cells.append(f"{r.pair(p, 'angle')[:, i].mean():.2f}")
            for part in ("train", "test"):
                cells.append(percent(r.pair(p, part + "_barrier")[:, i].mean(), 2))
        lines.append(row(cells))
    return lines


def features(r: Results) -> list[str]:
    """Single features, or bands of frequencies, after the lowest and highest second rate."""
    lines = ["", "### Features", ""]
    if r.kind == "tick":
        lines += ["Accuracy in % where one feature speaks, the three best, sorted in each seed."]
        names, field = ["first", "second", "third"], "single"
    else:
        lines += ["Accuracy in % on test images with one band of frequencies left."]
        names, field = list(NAMES), "bands"
    shown = [(f"tuned at {s:.3g}", p) for s, p in zip(r.second, r.tuned, strict=True)]
    shown = [shown[0], shown[-1]]
    lines += head(["first rate", "regime", *(f"{t}: {n}" for t, _ in shown for n in names)])
    found = [r.points(p, field) for _, p in shown]
    if r.kind == "tick":
        found = [np.sort(f, axis=-1)[..., ::-1] for f in found]
    for i, rate in enumerate(r.rates):
        cells = [percent(f[:, i, k].mean()) for f in found for k in range(len(names))]
        lines.append(row([f"{rate:.3g}", r.labels[i], *cells]))
    return lines


def where(r: Results) -> list[str]:
    """Thresholds, widths, and where the best first rates lie."""
    t, end = r.threshold, r.end_of_2a
    lines = ["", "### Where", ""]
    lines += [
        f"- Convergence is lost between {t.last:.3g} and "
        + (f"{t.first:.3g}" if t.first else "nothing: the grid ends")
        + "; some seeds only: "
        + (", ".join(f"{b:.3g}" for b in t.borderline) or "nowhere")
        + f". Best test accuracy of regime 1: {percent(r.best_of_1)} %."
    ]
    if end is None:
        lines.append("- 2A by its definition is empty: the first rate above fails already.")
    else:
        lines.append(
            f"- 2A by its definition: above {t.last:.3g}, to {end:.3g}; {r.after(end):.3g} is out."
            f" Width {octaves(t.last, end):.2f} to {octaves(t.last, r.after(end)):.2f} octaves."
        )
    third = [rate for rate, which in zip(r.rates, r.regimes, strict=True) if which == 3]
    lines.append(
        f"- Divergence from {third[0]:.3g} on." if third else "- No divergence on the grid."
    )
    lines += head(["", "best first rate", "octaves above the threshold", "accuracy",
                   "over the best of regime 1", "seeds with their best above the threshold",
                   "... in 2A"])  # fmt: skip
    ways = [(f"tuned at {s:.3g}", a) for s, a in zip(r.second, r.tuned_accuracy, strict=True)]
    ways += [(k, r.points(k, "test_accuracy")) for k in r.averages]
    for name, values in ways:
        mean = values.mean(axis=0)
        best = int(mean.argmax())
        each = r.rates[values.argmax(axis=1)]
        above = int((each > t.last).sum())
        within = int(((each > t.last) & (each <= (end or 0.0))).sum())
        cells = [name, f"{r.rates[best]:.3g}", f"{octaves(t.last, r.rates[best]):+.2f}"]
        more = values[:, best] - r.alone_of_1
        gain = f"{100 * more.mean():+.1f} ± {percent(error(more))}"
        cells += [percent(mean[best]), gain]
        lines.append(row([*cells, f"{above}/{r.seeds}", f"{within}/{r.seeds}"]))
    return lines


def curvature(r: Results) -> list[str]:
    """Rank correlation of sharpness and test error among tuned solutions, regime 3 aside."""
    lines = ["", "### Sharpness and test error", ""]
    lines += [
        "Spearman's rank correlation over first rates (regime 3 left out) of the sharpness on the",
        "unit sphere and the test error of tuned solutions: mean over seeds, range.",
    ]
    lines += head(["second rate", "regimes 1 and 2", "regime 1 only"])
    kept = np.array(r.regimes) < 3
    for second, point in zip(r.second, r.tuned, strict=True):
        cells = [f"{second:.3g}"]
        for chosen in (kept, np.array(r.regimes) == 1):
            sharp, wrong = r.points(point, "sharpness"), 1 - r.points(point, "test_accuracy")
            each = [spearmanr(s[chosen], e[chosen]).statistic
                    for s, e in zip(sharp, wrong, strict=True)]  # fmt: skip
            cells.append(f"{np.mean(each):+.2f} ({min(each):+.2f} to {max(each):+.2f})")
        lines.append(row(list(cells)))
    return lines


def precision(raw: Path) -> list[str]:
    """The synthetic task in double precision beside the recorded runs, same data and batches."""
    double, single = Results.load(raw, "double"), Results.load(raw, "tick")
    if not double.cells or not single.cells:
        return []
    lines = ["", "## C. The synthetic task in double precision", ""]
    lines += ["Means over the data sets of the first cell; single precision, double."]
    names = ("train loss", "test accuracy, %", "test accuracy, fine-tuned, %")
    lines += head(["first rate", *names])
    for j, rate in enumerate(double.rates):
        i = int(np.abs(single.rates - rate).argmin())
        cells = [f"{rate:.3g}"]
        for point, field, scale in (("pretrained", "train_loss", 1), ("pretrained", "test_accuracy",
                                    100), (double.tuned[0], "test_accuracy", 100)):  # fmt: skip
            b = double.points(point, field)[:, j]
            a = single.points(point, field)[: len(b), i]
            cells.append(f"{scale * a.mean():.4g}, {scale * b.mean():.4g} "
                         f"(difference {scale * (b - a).mean():+.2g}"
                         f" ± {scale * error(b - a):.2g})")  # fmt: skip
        lines.append(row(list(cells)))
    return lines


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=HERE / "raw")
    parser.add_argument("--out", type=Path, default=HERE / "results.md")
    options = parser.parse_args(arguments)
    lines = ["# Where large learning rates lead: results"]
    for kind, title in TITLES.items():
        r = Results.load(options.raw, kind)
        lines += ["", f"## {title}", ""]
        if not r.cells:
            lines.append("Not recorded.")
            continue
        lines.append(f"{r.seeds} seeds, {r.epochs:.0f} epochs of pre-training.")
        if np.isnan(r.converged).all():
            lines += ["", "No rate fits the data: no threshold, no regimes."]
            continue
        for part in (where, quality, geometry, features, curvature):
            lines += part(r)
        seen = {str(c["environment"]): c["environment"] for c in r.cells}
        for about in seen.values():
            lines += ["", "Environment: " + ", ".join(f"{k} {v}" for k, v in about.items()) + "."]
    lines += precision(options.raw)
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
