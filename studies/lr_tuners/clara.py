"""CLARA's protocol: test accuracy against the initial learning rate, with and without it.

    python studies/lr_tuners/clara.py [DATA ...] [--seeds 5]   # resumes; raw/clara
    python studies/lr_tuners/clara.py --quick                  # seconds; writes nothing

Atamna et al. 2025 (2508.05408): one linear layer on raw features of scikit-learn's small data sets,
four fifths to train on, batches of 128, 100 epochs; initial rates 1e-6 to 1. These models are
trained by `clara_linear`, all rates and seeds at once. Fashion-MNIST, a
perceptron 784-256-128-10, is shorter than theirs: see `EXAMPLES` and `EPOCHS`.
"""

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from clara_linear import Rows
from torch import Tensor, nn, optim
from torch.nn import functional

import lrsearch
from lrsearch.tuners import CLARA

HERE = Path(__file__).resolve().parent
RAW = HERE / "raw" / "clara"
JUDGE = HERE.parent / "search_efficiency"  # knows where Fashion-MNIST lies
SMALL = ("breast_cancer", "iris", "wine", "digits")
IMAGES = "fashion_mnist"
LONG = "digits_long"  # three times as long, some methods only
DATA = (*SMALL, LONG, IMAGES)
RATES = tuple(10.0**k for k in range(-6, 1))
BATCH = 128
EXAMPLES = 6_400  # of Fashion-MNIST's 60,000
EPOCHS = dict.fromkeys(SMALL, 100) | {LONG: 300, IMAGES: 16}
MARKS = 20  # rates kept of each run

Method = tuple[type[optim.Optimizer], dict[str, Any] | None]  # None: no tuner
METHODS: dict[str, Method] = {
    "sgd": (optim.SGD, None),
    "sgd clara": (optim.SGD, {}),
    "sgd clara unit": (optim.SGD, {"unit_steps": True}),
    "sgd clara published": (optim.SGD, {"published": True}),
    "sgd clara 2 sigma": (optim.SGD, {"damping": None}),
    "sgd clara 2 sigma published": (optim.SGD, {"damping": None, "published": True}),
    "adam": (optim.Adam, None),
    "adam clara": (optim.Adam, {}),
    "adam clara unit": (optim.Adam, {"unit_steps": True}),
    "adam clara 2 sigma": (optim.Adam, {"damping": None}),
    "adam clara sgd reference": (optim.Adam, {"reference": "sgd"}),
}
FEWER = {
    IMAGES: (
        "sgd", "sgd clara", "sgd clara unit",
        "adam", "adam clara", "adam clara unit", "adam clara sgd reference",
    ),
    LONG: ("adam", "adam clara", "adam clara sgd reference", "sgd", "sgd clara"),
}  # fmt: skip
Pair = tuple[Tensor, Tensor]


def split(name: str, seed: int) -> tuple[Pair, Pair]:
    """Training and test part: inputs (n, d) and classes (n,)."""
    if name == IMAGES:
        return fashion()
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name.removesuffix('_long')}")(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    first = round(0.8 * len(y))
    x, y = torch.tensor(x[order]).float(), torch.tensor(y[order]).long()
    return (x[:first], y[:first]), (x[first:], y[first:])


@lru_cache(maxsize=1)
def fashion() -> tuple[Pair, Pair]:
    """Pixels in [0, 1]; the whole test part."""
    sys.path.insert(0, str(JUDGE))
    from data import DATA as FOLDER
    from data import idx

    def part(kind: str, count: int) -> Pair:
        x = idx(FOLDER / IMAGES / f"{kind}-images-idx3-ubyte.gz")[:count] / 255.0
        y = idx(FOLDER / IMAGES / f"{kind}-labels-idx1-ubyte.gz")[:count].astype(np.int64)
        return torch.tensor(x).float().flatten(1), torch.tensor(y)

    return part("train", EXAMPLES), part("t10k", 10_000)


def model_for(name: str, inputs: int, classes: int) -> nn.Module:
    if name != IMAGES:
        return nn.Linear(inputs, classes)
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def batches(train: Pair, epochs: int, seed: int) -> Iterator[Pair]:
    """Shuffled; the last batch of an epoch may be short."""
    draw = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(train[1]), generator=draw).split(BATCH):
            yield train[0][rows], train[1][rows]


def stepper(method: str, model: nn.Module, rate: float) -> Callable[[Pair], tuple[float, float]]:
    """A training step; it returns the loss before it and the rate that it took."""
    kind, options = METHODS[method]
    optimizer = kind(model.parameters(), lr=rate)
    tuner = None if options is None else CLARA(optimizer, **options)

    def step(batch: Pair) -> tuple[float, float]:
        if tuner is not None:
            loss = tuner.step(lambda: functional.cross_entropy(model(batch[0]), batch[1]))
            return float(loss), tuner.learning_rate
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        return float(loss.detach()), rate

    return step


def one(name: str, method: str, rate: float, seed: int, epochs: int) -> dict[str, Any]:
    """A run; one whose loss is no longer finite has ended, and its accuracy is 0."""
    train, test = split(name, seed)
    torch.manual_seed(seed)
    model = model_for(name, train[0].shape[1], int(train[1].max()) + 1)
    step = stepper(method, model, rate)
    rates = []
    for batch in batches(train, epochs, seed):
        loss, used = step(batch)
        if not math.isfinite(loss):
            break
        rates.append(used)
    with torch.no_grad():
        scores = model(test[0])
    return result(rate, seed, scores, test[1], rates, not math.isfinite(loss))


def result(
    rate: float, seed: int, scores: Tensor, classes: Tensor, rates: list[float], ended: bool
) -> dict[str, Any]:
    value = float(functional.cross_entropy(scores, classes))
    finite = math.isfinite(value) and not ended
    accuracy = float((scores.argmax(1) == classes).float().mean()) if finite else 0.0
    marks = np.linspace(0, len(rates) - 1, MARKS).round().astype(int) if rates else []
    return {
        "rate": rate,
        "seed": seed,
        "accuracy": round(accuracy, 5),
        "loss": float(f"{value:.5g}") if finite else None,
        "steps": len(rates),
        "rates": [float(f"{rates[i]:.3e}") for i in marks],
    }


def environment() -> dict[str, str]:
    import sklearn

    return {
        "lrsearch": lrsearch.__version__,
        "torch": str(torch.__version__),
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def save(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all; a run a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = ",\n".join(
        f"{json.dumps(k)}: {json.dumps(v)}" for k, v in document.items() if k != "runs"
    )
    runs = ",\n".join(json.dumps(run) for run in document["runs"])
    scratch = path.with_suffix(".tmp")
    scratch.write_text("{\n" + head + ',\n"runs": [\n' + runs + "\n]\n}\n")
    scratch.replace(path)


def many(name: str, method: str, seeds: Sequence[int], epochs: int) -> list[dict[str, Any]]:
    """The same runs as `one`'s at every rate and seed, by `clara_linear`: for linear models."""
    kind, options = METHODS[method]
    parts = [split(name, seed) for seed in seeds]
    grid = [(rate, i) for i in range(len(seeds)) for rate in RATES]
    of = torch.tensor([i for _, i in grid])
    models = []
    for seed, (train, _) in zip(seeds, parts, strict=True):
        torch.manual_seed(seed)
        classes = max(int(part[1].max()) for part in parts[0]) + 1
        models.append(model_for(name, train[0].shape[1], classes))
    weights = torch.stack([m.weight.detach() for m in models])[of]
    biases = torch.stack([m.bias.detach() for m in models])[of][:, None]
    start = torch.tensor([rate for rate, _ in grid], dtype=torch.float64)
    rows = Rows(weights, biases, start, adam=kind is optim.Adam, options=options)
    streams = [batches(parts[i][0], epochs, seed) for i, seed in enumerate(seeds)]
    used, steps = [], torch.zeros(len(grid), dtype=torch.long)
    for batch in zip(*streams, strict=True):
        x, y = (torch.stack([b[k] for b in batch])[of] for k in (0, 1))
        used.append(rows.step(x, y))
        steps += rows.alive
    tests = [torch.stack([test[k] for _, test in parts])[of] for k in (0, 1)]
    scores = rows.scores(tests[0])
    found = []
    for r, (rate, i) in enumerate(grid):
        rates = [float(each[r]) for each in used[: int(steps[r])]]
        ended = not bool(rows.alive[r])
        found.append(result(rate, seeds[i], scores[r], tests[1][r], rates, ended))
    return found


def fill(name: str, method: str, seeds: int) -> None:
    """All runs of a method that are not there yet; images one seed at a time."""
    path = RAW / name / f"{method.replace(' ', '-')}.json"
    document: dict[str, Any] = {
        "data": name,
        "method": method,
        "batch": BATCH,
        "epochs": EPOCHS[name],
        "examples": len(split(name, 0)[0][1]),
        "environment": environment(),
        "runs": [],
    }
    if path.exists():
        document = json.loads(path.read_text())
    missing = [s for s in range(seeds) if all(run["seed"] != s for run in document["runs"])]
    if name != IMAGES and missing:
        document["runs"] += many(name, method, missing, EPOCHS[name])
        save(path, document)
    for seed in missing if name == IMAGES else []:
        document["runs"] += [one(name, method, rate, seed, EPOCHS[name]) for rate in RATES]
        save(path, document)
    print(f"{name}: {method}, {seeds} seeds", flush=True)


def check() -> None:
    """The rows beside the product's own CLARA, at every rate, on digits; relative differences."""
    worst = 0.0
    for method in METHODS:
        rows = many("digits", method, [0], 3)
        for row, rate in zip(rows, RATES, strict=True):
            own = one("digits", method, rate, 0, 3)
            worst = max(worst, abs(own["rates"][-1] / row["rates"][-1] - 1))
            apart = abs(own["accuracy"] - row["accuracy"])
            print(f"{method} {rate:.0e}: {own['rates'][-1]} {row['rates'][-1]}, {apart:.4f}")
    print(f"largest relative difference of the rates: {worst:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", default=list(DATA))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true", help="rows beside the product's CLARA")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.quick:
        for method in METHODS:
            print(method, [run["accuracy"] for run in many("iris", method, [0], 20)])
        return
    if options.check:
        return check()
    for name in options.data:
        for method in FEWER.get(name, METHODS):
            fill(name, method, options.seeds)


if __name__ == "__main__":
    main()
