"""One run with a tuner, on the judge's tasks, for real: what it gives up, and what it costs.

    python studies/lr_tuners/versus.py --development     # every candidate; resumes; raw/versus
    python studies/lr_tuners/versus.py --freeze          # one setting a tuner, versus_frozen.json
    python studies/lr_tuners/versus.py --evaluation      # those settings only
    python studies/lr_tuners/versus.py --quick           # seconds; writes nothing

Regret is the log of the test loss of the last weights over the table's best cell, as in
studies/search_efficiency/oneshot.py. Start rates are in units of the usual rate of the optimizer's
class (median best of development tasks, frozen there). Cost is in full runs: gradients of all
steps over the budget.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "search_efficiency"))

import numpy as np
import raw as judge
import tasks
import torch
from judged import Judged
from study_tuners import Hypergradient, Polyak
from table import Table
from torch import nn
from torch.optim import Optimizer

import lrsearch
from lrsearch.exceptions import RunStopped, UnsupportedError
from lrsearch.tuners import CDAT, CLARA, SALERA, Tuner
from lrsearch.tuners._gradients import Closure

HERE = Path(__file__).resolve().parent
JUDGE = HERE.parent / "search_efficiency"
RAW = HERE / "raw" / "versus"
FROZEN = HERE / "versus_frozen.json"
DEVELOPMENT = ("fashion_sgd", "fashion_adam", "fashion_momentum_epochs")
EVALUATION = (
    "mnist_nesterov", "mnist_rmsprop", "shakespeare_adamw", "mnist_nesterov_wide", "mnist_cnn",
)  # fmt: skip
FIRST_SEED = 100  # of no recorded run
HOPELESS = 1.0  # regrets are cut here where settings are chosen
NEAR = 0.05  # of the best mean regret: such settings get more seeds
MARKS = 20
Make = Callable[[Judged, nn.Module, Optimizer], Tuner]


class Constant(Tuner):
    """The rate it starts with: the control."""

    kind = "constant"

    def _advance(self, closure: Closure, loss: torch.Tensor) -> dict[str, Any]:
        self._apply(self._rate)
        return {}


def of(kind: Callable[..., Tuner], **options: Any) -> Make:
    return lambda task, model, optimizer: kind(optimizer, **options)


def salera(task: Judged, model: nn.Module, optimizer: Optimizer, gain: float) -> Tuner:
    fraction = 1.0 / len(task.stream(0, 0))  # one batch of an epoch
    return SALERA(optimizer, model, gain=gain, fraction=fraction)


# tuner -> setting -> start rate over the usual one, and how it is made
SETTINGS: dict[str, dict[str, tuple[float, Make]]] = {
    "constant": {f"start {x:g}": (x, of(Constant)) for x in (1.0, 0.1)},
    "CDAT": {
        f"sigma {s:g}": (1.0, of(CDAT, sigma=s, decay=0.9)) for s in (0.25, 0.5, 1.0, 1.5, 2.0)
    },
    "CLARA": {
        f"damping {d:g}, start {x:g}": (x, of(CLARA, damping=d))
        for d in (1e-3, 1e-2, 3e-2)
        for x in (1.0, 0.1)
    },
    "SALERA": {
        f"gain {c:g}, start {x:g}": (x, partial(salera, gain=c))
        for c in (3e-7, 3e-6, 3e-5)
        for x in (1.0, 0.1)
    },
    "Polyak": {f"scale {s:g}": (0.01, of(Polyak, scale=s)) for s in (0.5, 1.0, 2.0, 5.0, 10.0)},
    "hypergradient": {
        f"beta {b:g}, start {x:g}": (x, of(Hypergradient, beta=b))
        for b in (0.01, 0.03)
        for x in (1.0, 0.1)
    },
}
SHORT = "CDAT, equal cost"  # fewer steps, so that it costs one run


def usual(function: str) -> float:
    """The usual raw rate of the task's class of optimizers."""
    found = json.loads((JUDGE / "frozen.json").read_text())["multipliers"]["raw rate"]
    return float(found[tasks.CLASSES[function]])


def tuned(
    task: Judged, seed: int, start: float, make: Make, *, short: bool = False
) -> dict[str, Any]:
    """A run; its test loss (infinite if it is lost), and gradients and steps over the budget."""
    assert task.test is not None
    torch.manual_seed(seed)
    model = task.model().to(task.device)
    tuner = make(task, model, task.optimizer(model, start))
    steps = int(task.budget / tuner.cost_per_step) if short else task.budget
    epochs = (batch for epoch in range(10**6) for batch in task.stream(seed, epoch))
    rates, missed, why = [], 0, None
    model.train()
    try:
        for _ in range(steps):
            batch = next(epochs)
            tuner.step(lambda batch=batch: task.loss(model, batch))
            missed += tuner.reading is not None and not tuner.reading.finite
            rates.append(tuner.learning_rate)
            if missed > 0 and isinstance(tuner, Constant):
                why = "diverged"
                break
    except RunStopped as stopped:
        why = str(stopped)
    loss = math.inf if why else task.test(model)
    marks = np.linspace(0, len(rates) - 1, MARKS).round().astype(int)
    return {
        "seed": seed,
        "test": float(f"{loss:.6g}") if math.isfinite(loss) else "inf",
        "cost": round(tuner.cost / task.budget, 4),
        "steps": len(rates),
        "not_finite": missed,
        "note": why,
        "rates": [float(f"{rates[i]:.3e}") for i in marks],
    }


def environment() -> dict[str, str]:
    return {
        "lrsearch": lrsearch.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def path_of(function: str, tuner: str) -> Path:
    return RAW / function.replace("_", "-") / f"{tuner.replace(', ', '-').replace(' ', '-')}.json"


def load(function: str, tuner: str) -> dict[str, Any]:
    path = path_of(function, tuner)
    return json.loads(path.read_text()) if path.exists() else {}


def fill(function: str, tuner: str, setting: str, seeds: int) -> None:
    """Runs of a setting that are not there yet; of an optimizer that it does not know, why."""
    task: Judged = getattr(tasks, function)()
    kind = "CDAT" if tuner == SHORT else tuner
    start, make = SETTINGS[kind][setting]
    document = load(function, tuner) or {"task": task.name, "environment": environment()}
    runs = document.setdefault(setting, [])
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        if any(run["seed"] == seed or "refused" in run for run in runs):
            continue
        rate = start * usual(function)
        try:
            runs.append(tuned(task, seed, rate, make, short=tuner == SHORT))
        except UnsupportedError as error:
            runs.append({"seed": seed, "refused": str(error)})
        judge.save(path_of(function, tuner), document)
    print(f"{function}: {tuner}, {setting}", flush=True)


def regrets(function: str, tuner: str, setting: str) -> list[float]:
    """By seed; none where the tuner refuses."""
    best = Table.read(judge.table_path(function)).best
    runs = [run for run in load(function, tuner).get(setting, []) if "test" in run]
    return [math.log(float(run["test"])) - best for run in runs]


def mean_regrets() -> dict[str, dict[str, float]]:
    """Tuner -> setting -> mean over development tasks and seeds, each regret cut at `HOPELESS`."""
    table: dict[str, dict[str, float]] = {}
    for tuner, settings in SETTINGS.items():
        for setting in settings:
            means = []
            for function in DEVELOPMENT:
                found = regrets(function, tuner, setting)
                means.append(float(np.mean([min(r, HOPELESS) for r in found or [math.inf]])))
            table.setdefault(tuner, {})[setting] = round(float(np.mean(means)), 5)
    return table


def develop(functions: Sequence[str], seeds: int) -> None:
    """One seed of every setting; further ones of those within `NEAR` of their tuner's best."""
    for function in functions:
        for tuner, settings in SETTINGS.items():
            for setting in settings:
                fill(function, tuner, setting, 1)
    for tuner, means in mean_regrets().items():
        for setting, mean in means.items():
            if mean <= min(means.values()) + NEAR:
                for function in functions:
                    fill(function, tuner, setting, seeds)


def freeze() -> None:
    """For each tuner the setting with the least mean regret."""
    table = mean_regrets()
    chosen = {tuner: min(means, key=lambda s: means[s]) for tuner, means in table.items()}
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]
    document = {
        "tasks": list(DEVELOPMENT), "chosen": chosen, "digest": digest, "mean regrets": table,
    }  # fmt: skip
    FROZEN.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for mode in ("development", "freeze", "evaluation", "quick"):
        parser.add_argument(f"--{mode}", action="store_true")
    parser.add_argument("--tasks", nargs="*", help="functions of the judge's tasks.py")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="training diverged")
    if options.freeze:
        freeze()
    if options.development:
        develop(options.tasks or DEVELOPMENT, options.seeds)
    if options.evaluation:
        if not FROZEN.exists():
            raise SystemExit("freeze the settings first: --freeze.")
        chosen = json.loads(FROZEN.read_text())["chosen"]
        runs = [*chosen.items(), (SHORT, chosen["CDAT"])]
        runs += [("constant", each) for each in SETTINGS["constant"]]  # controls: all of them
        for function in options.tasks or (*DEVELOPMENT, *EVALUATION):
            for tuner, setting in dict.fromkeys(runs):
                fill(function, tuner, setting, options.seeds)
    if options.quick:
        task = tasks.fashion_sgd(20)
        for tuner, settings in SETTINGS.items():
            start, make = next(iter(settings.values()))
            print(tuner, tuned(task, 0, start * usual("fashion_sgd"), make))


if __name__ == "__main__":
    main()
