"""Make the tables of clara.md from raw/clara.

python studies/lr_tuners/clara_report.py
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
RAW = HERE / "raw" / "clara"
PAGE = HERE / "clara.md"
BEGIN, END = "<!-- made by clara_report.py -->", "<!-- end -->"
DATA = ("breast_cancer", "iris", "wine", "digits", "digits_long", "fashion_mnist")
POINTS = 2.0  # of accuracy, within which a rate counts as good
Documents = dict[str, dict[str, Any]]


def documents(name: str) -> Documents:
    """Method -> raw document, in the order of the protocol."""
    found = [json.loads(path.read_text()) for path in (RAW / name).glob("*.json")]
    return {
        d["method"]: d for d in sorted(found, key=lambda d: ("adam" in d["method"], d["method"]))
    }


def accuracies(document: dict[str, Any]) -> tuple[list[float], np.ndarray]:
    """Rates, and percent (rates, seeds)."""
    rates = sorted({run["rate"] for run in document["runs"]})
    seeds = sorted({run["seed"] for run in document["runs"]})
    by = {(run["rate"], run["seed"]): 100 * run["accuracy"] for run in document["runs"]}
    return rates, np.array([[by[rate, seed] for seed in seeds] for rate in rates])


def good(means: np.ndarray, best: float) -> tuple[int, int]:
    """How many rates are within `POINTS` of a best one, and the longest row of such rates."""
    longest = row = 0
    near = means >= best - POINTS
    for each in near:
        row = row + 1 if each else 0
        longest = max(longest, row)
    return int(near.sum()), longest


def apart(values: np.ndarray) -> str:
    """Mean and standard error over seeds."""
    if len(values) < 2:
        return f"{values.mean():+.1f}, one seed"
    return f"{values.mean():+.1f} +- {np.std(values, ddof=1) / np.sqrt(len(values)):.1f}"


def plain_of(method: str) -> str:
    return "adam" if method.startswith("adam") else "sgd"


def summary(name: str, found: Documents) -> list[str]:
    one = next(iter(found.values()))
    seeds = len({run["seed"] for run in one["runs"]})
    lines = [
        f"### {name}: {one['examples']} examples, {one['epochs']} epochs, "
        f"{max(run['steps'] for run in one['runs'])} steps, {seeds} seeds",
        "",
        "| method | best mean accuracy (at) | less plain's best (paired) | worst over rates "
        "| rates of 7 within 2 points of its best, longest row | of plain's best |",
        "|---|---|---|---|---|---|",
    ]
    for method, document in found.items():
        rates, values = accuracies(document)
        means, top = values.mean(axis=1), int(np.argmax(values.mean(axis=1)))
        _, plain = accuracies(found[plain_of(method)])
        own = plain[int(np.argmax(plain.mean(axis=1)))]
        shared = min(len(own), values.shape[1])
        count, row = good(means, means[top])
        other, _ = good(means, float(own.mean()))
        lines.append(
            f"| {method} | {means[top]:.1f} ({rates[top]:.0e}) "
            f"| {apart(values[top][:shared] - own[:shared])} | {means.min():.1f} "
            f"| {count}, {row} | {other} |"
        )
    return [*lines, ""]


def by_rate(found: Documents) -> list[str]:
    rates, _ = accuracies(next(iter(found.values())))
    lines = [
        "Mean accuracy, median test loss and the median last rate, by initial rate:",
        "",
        "| method | " + " | ".join(f"{rate:.0e}" for rate in rates) + " |",
        "|---" * (len(rates) + 1) + "|",
    ]
    for method, document in found.items():
        cells = []
        for rate in rates:
            runs = [run for run in document["runs"] if run["rate"] == rate]
            mean = 100 * np.mean([run["accuracy"] for run in runs])
            loss = np.median([np.inf if run["loss"] is None else run["loss"] for run in runs])
            last = np.median([run["rates"][-1] for run in runs if run["rates"]])
            cells.append(f"{mean:.1f}, {loss:.2g}, {last:.1e}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def average(every: dict[str, Documents]) -> list[str]:
    """Over the data sets of the full protocol, each weighing the same."""
    full = [name for name in ("breast_cancer", "iris", "wine", "digits") if every.get(name)]
    lines = [
        f"### Mean over {', '.join(full)}",
        "",
        "| method | best accuracy | less plain's best | worst over rates | mean over rates "
        "| rates of 7 within 2 points of its best |",
        "|---|---|---|---|---|---|",
    ]
    for method in every[full[0]]:
        rows = []
        for name in full:
            means = accuracies(every[name][method])[1].mean(axis=1)
            plain = accuracies(every[name][plain_of(method)])[1].mean(axis=1)
            rows.append(
                (means.max(), means.max() - plain.max(), means.min(), means.mean(),
                 good(means, means.max())[0])
            )  # fmt: skip
        best, gain, worst, mean, count = np.mean(rows, axis=0)
        lines.append(
            f"| {method} | {best:.1f} | {gain:+.1f} | {worst:.1f} | {mean:.1f} | {count:.1f} |"
        )
    return [*lines, ""]


def tables() -> str:
    every = {name: documents(name) for name in DATA}
    lines = average(every)
    for name, found in every.items():
        if found:
            lines += summary(name, found) + by_rate(found)
    environments = {json.dumps(d["environment"]) for f in every.values() for d in f.values()}
    for each in sorted(environments):
        lines.append("Environment: " + ", ".join(f"{k} {v}" for k, v in json.loads(each).items()))
    return "\n".join(lines)


def put(page: Path, begin: str, text: str) -> None:
    """Replace what stands between the marks of a page."""
    old = page.read_text()
    first, rest = old.split(begin, 1)
    page.write_text(f"{first}{begin}\n{text}\n{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    put(PAGE, BEGIN, tables())
    print(tables())
