"""Two objectives: a schedule that is good, and whose solution bears being perturbed.

Every trial returns its validation loss and how much its training loss rises when all weights are
perturbed by a fifth of their norm, in the same directions for all. Of the schedules that nothing
beats in both, choose one: nearly the lowest loss, the least rise. A difference is worth something
where it is larger than `rise_error`, which is printed beside it; under a twentieth of the norm most
rises here are no larger than that.

    python examples/robust.py
"""

from __future__ import annotations

from itertools import islice

import optuna
import torch

import lrsearch
from lrsearch.curvature import solution_kind
from lrsearch.exceptions import MeasurementError
from lrsearch.sweeps import task_edge
from lrsearch.tasks import digits
from lrsearch.training import batches, train

BUDGET, TRIALS = 150, 8
SLACK = 1.1  # of the lowest loss: as good as
SIZE = 0.2  # of a tensor's norm


def main() -> None:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    task = digits(width=32)
    space = lrsearch.ScheduleSpace(BUDGET, families=("constant", "linear", "wsd"))
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=lrsearch.EdgeSampler(space, seed=0)
    )
    edge = task_edge(task, budget=BUDGET)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        schedule = space.suggest(trial, edge)
        result = train(task, schedule, seed=trial.number, share=None)
        probe = islice(batches(task, 0), 8)
        kind = solution_kind(result.model, task.loss, *probe, perturbation=SIZE, max_hvps=0)
        trial.set_user_attr("rise_error", kind.rise_error)
        return result.metric, kind.rise

    study.optimize(objective, n_trials=TRIALS, catch=MeasurementError)  # diverged
    front = sorted(study.best_trials, key=lambda t: t.values[0])
    print("  loss   rise     +-  schedule")
    for trial in front:
        plan = lrsearch.best_schedule(study, trial)
        loss, rise, error = *trial.values, trial.user_attrs["rise_error"]
        print(f"{loss:6.3f} {rise:6.3f} {error:6.3f}  {plan.family}, peak {plan.peak:.3g}")
    allowed = [t for t in front if t.values[0] <= SLACK * front[0].values[0]]
    chosen = min(allowed, key=lambda t: t.values[1])
    print(f"chosen: trial {chosen.number}")
    lrsearch.best_schedule(study, chosen).save("robust.json")


if __name__ == "__main__":
    main()
