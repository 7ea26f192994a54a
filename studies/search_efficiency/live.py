"""Real sweeps, not replayed, on tasks that no table holds and nothing was tuned on.

    LRSEARCH_DATA=... python live.py [--tasks NAME ...] [--jobs 2]     # resumes

Ours, TPE and TPE under Hyperband search the same five families (5 % warm-up) over the same
gradients; ours pays for its calibration and its readings, the evaluations at Hyperband's rungs are
not counted. Peers search 1e-5 to 10. What each recommends after some full runs is trained with
fresh seeds and judged by the test split.
"""

import argparse
import math
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
import raw
import store
import torch
from judged import Judged
from making import cross_entropy, image_task, shakespeare, squared_error
from models import convolutions, perceptron
from peers import HIGH, LOW
from tasks import adamw, sgd

from lrsearch import EdgeSampler, Schedule, ScheduleSpace, StabilityPruner, best_schedule
from lrsearch.integrations import task_edge
from lrsearch.integrations.optuna import OptunaHost, readings_of
from lrsearch.search import trial_seed
from lrsearch.training import train

BUDGET, WARMUP = 500, 0.05
AT = (2.5, 4.5, 8.5)  # full runs after which the recommendation is kept
SEEDS, FRESH = 5, 3
FIRST_FRESH = 20_000
HALVINGS, THIRDS = 9, 3  # Hyperband looks at ninths of the budget
SPACE = ScheduleSpace(BUDGET, warmup=WARMUP)

TASKS: dict[str, Callable[[], Judged]] = {
    # Cross-entropy on MNIST, and squared error with AdamW, are in no table; nor is width 32.
    "mnist-mlp-nesterov": lambda: image_task(
        "mnist-mlp-nesterov", "mnist", partial(perceptron, 192),
        partial(sgd, momentum=0.9, nesterov=True), loss=cross_entropy, batch_size=48,
    ),
    "mnist-gn-adamw": lambda: image_task(
        "mnist-gn-adamw", "mnist", partial(convolutions, 8, "group"),
        partial(adamw, weight_decay=0.05), loss=squared_error, batch_size=48,
    ),
    "shakespeare-32": lambda: shakespeare(
        "shakespeare-32", partial(adamw, weight_decay=0.1), width=32, batch_size=24
    ),
}  # fmt: skip


class Steps:
    """Counts the steps of a run that may be stopped."""

    done = 0

    def __call__(self, steps: int) -> None:
        self.done = steps


class Ours:
    """Edge, sampler, pruner, readings, as `lrsearch sweep` has them."""

    def __init__(self, task: Judged, seed: int) -> None:
        edge = task_edge(task, budget=BUDGET, seed=seed)
        self.task, self.edge, self.seed, self.spent = task, edge, seed, edge.cost / BUDGET
        sampler = EdgeSampler(SPACE, seed=seed)
        self.study = optuna.create_study(sampler=sampler, pruner=StabilityPruner())

    def objective(self, trial: optuna.Trial) -> float:
        schedule = SPACE.suggest(trial, self.edge)
        seed, count = trial_seed(self.seed, trial.number), Steps()
        try:
            result = train(self.task, schedule, seed=seed, host=OptunaHost(trial), on_step=count)
        finally:
            seen = readings_of(trial.user_attrs)
            self.spent += (count.done + (seen[-1].cost if seen else 0.0)) / BUDGET
        if not math.isfinite(result.metric):
            raise optuna.TrialPruned
        return result.metric

    def recommended(self) -> Schedule:
        return best_schedule(self.study)


class Tpe:
    """Optuna's TPE over rates and families, alone or under Hyperband."""

    def __init__(self, task: Judged, seed: int, hyperband: bool = False) -> None:
        self.task, self.seed, self.spent, self.hyperband = task, seed, 0.0, hyperband
        pruner = optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=HALVINGS, reduction_factor=THIRDS
        )
        self.study = optuna.create_study(
            study_name=f"{task.name}-{seed}",
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=pruner if hyperband else optuna.pruners.NopPruner(),
        )

    def objective(self, trial: optuna.Trial) -> float:
        family = trial.suggest_categorical("family", list(SPACE.families))
        rate = trial.suggest_float("rate", LOW, HIGH, log=True)
        schedule = Schedule(family, rate, BUDGET, warmup_steps=round(WARMUP * BUDGET))
        trial.set_user_attr("schedule", schedule.to_dict())
        count = Steps()

        def look(steps: int, value: float) -> None:
            trial.report(value, steps * HALVINGS // BUDGET)
            if trial.should_prune():
                raise optuna.TrialPruned

        looks: dict[str, Any] = {}
        if self.hyperband:
            looks = {"evaluate_every": BUDGET // HALVINGS, "on_evaluation": look}
        try:
            seed = trial_seed(self.seed, trial.number)
            result = train(self.task, schedule, seed=seed, share=None, on_step=count, **looks)
        finally:
            self.spent += count.done / BUDGET
        if not math.isfinite(result.metric):
            raise optuna.TrialPruned
        return result.metric

    def recommended(self) -> Schedule:
        return Schedule.from_dict(self.study.best_trial.user_attrs["schedule"])


METHODS: dict[str, Callable[[Judged, int], Any]] = {
    "ours": Ours,
    "tpe": Tpe,
    "tpe + hyperband": partial(Tpe, hyperband=True),
}


def swept(task: Judged, method: str, seed: int) -> dict[str, Any]:
    """One sweep: what is recommended after each of `AT` full runs, and its test losses anew."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    one = METHODS[method](task, seed)
    course: list[tuple[float, Schedule | None]] = []
    while one.spent < AT[-1]:
        one.study.optimize(one.objective, n_trials=1)
        course.append((one.spent, _recommended(one)))
    found: dict[str, Any] = {}
    known: dict[str, list[float | None]] = {}
    for at in AT:
        best = next((schedule for spent, schedule in reversed(course) if spent <= at), None)
        if best is None:
            found[str(at)] = {"schedule": None, "test": None}
            continue
        name = _short(best)
        if name not in known:
            known[name] = [fresh(task, best, i) for i in range(FRESH)]
        found[str(at)] = {"schedule": name, "test": known[name]}
    return {"recommended": found, "trials": len(course), "spent": round(one.spent, 3)}


def _recommended(one: Any) -> Schedule | None:
    done = one.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    return one.recommended() if done else None


def _short(schedule: Schedule) -> str:
    shape = " ".join(f"{n}={v}" for n, v in schedule.parameters.items())
    return f"{schedule.family} {shape} peak={schedule.peak:.4g}"


def fresh(task: Judged, schedule: Schedule, seed: int) -> float | None:
    """Test loss with a seed that no sweep has; ``None`` if it diverges."""
    assert task.test is not None
    result = train(task, schedule, seed=FIRST_FRESH + seed, share=None)
    return round(task.test(result.model), 6) if math.isfinite(result.metric) else None


def measure(name: str, method: str, seed: int) -> str:
    """One sweep, written whole."""
    torch.set_num_threads(1)
    found = swept(TASKS[name](), method, seed)
    about = {"task": name, "method": method, "seed": seed, "environment": store.environment()}
    raw.save(path_of(name, method, seed), {**about, **found})
    return f"{name}: {method}, seed {seed}"


def path_of(name: str, method: str, seed: int) -> Any:
    return raw.RAW / "live" / name / f"{method.replace(' + ', '-')}-{seed}.json"


def rows() -> list[str]:
    """The report's table: log loss over the best recommendation of all, median of seeds, worst."""
    lines = [
        "| task | method | " + " | ".join(f"after {at} full runs" for at in AT) + " |",
        "|---|---|" + "---|" * len(AT),
    ]
    for name in TASKS:
        seen: dict[str, dict[str, list[float]]] = {}
        for method in METHODS:
            for path in (path_of(name, method, seed) for seed in range(SEEDS)):
                if path.exists():
                    for at, one in raw.load(path)["recommended"].items():
                        loss = math.inf if not one["test"] or None in one["test"] else 0.0
                        loss = loss or float(np.mean(np.log(one["test"])))
                        seen.setdefault(method, {}).setdefault(at, []).append(loss)
        if not seen:
            continue
        best = min(v for by in seen.values() for values in by.values() for v in values)
        for method, by in seen.items():
            cells = [_cell(np.array(by.get(str(at), [])) - best) for at in AT]
            lines.append(f"| {name} | {method} | {' | '.join(cells)} |")
    return lines


def _cell(lost: np.ndarray) -> str:
    if not len(lost):
        return ""
    worst = "nothing, or diverged" if math.isinf(lost.max()) else f"{100 * lost.max():.1f} %"
    return f"{100 * np.median(lost):.1f} % (worst {worst})"


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), help="by default all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    wanted = [
        (name, method, seed)
        for name in options.tasks
        for seed in range(SEEDS)
        for method in METHODS
        if not path_of(name, method, seed).exists()
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, context) as pool:
        futures = [pool.submit(measure, *one) for one in wanted]
        for done, future in enumerate(as_completed(futures), 1):
            print(f"{done} of {len(futures)}: {future.result()}", flush=True)


if __name__ == "__main__":
    main()
