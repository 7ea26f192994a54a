"""Record a training table of a task: schedule shapes x peak rates x seeds, read at 20 rungs.

    cd studies/search_efficiency
    python record.py --task tasks.py:fashion_sgd --out recorded/fashion-sgd

Any `lrsearch.training.Task` will do ("digits", "module:name" or "path.py:name"). Needs torch and
numpy beside lrsearch. A recording that was stopped goes on where it was; several may run at once on
tables of their own. On a GPU: LRSEARCH_DEVICE=cuda for the tasks here, and as many --jobs as fit.
"""

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import edges
import families
import grid
import rungs
import store
import torch
from training import record_run

from lrsearch.curvature import usual_rate
from lrsearch.tasks import EMBEDDED
from lrsearch.training import Task, find_task

ANY_RATE = 1e-3
Group = tuple[str, ...]
_task: Task  # in a worker


def begin_worker(spec: str) -> None:
    """Build the task once a process."""
    global _task
    torch.set_num_threads(1)
    _task = find_task(spec, EMBEDDED)


def work(out: Path, group: Group, k: int, seed: int, budget: int) -> None:
    """Record one cell of a group."""
    for label, record in record_run(_task, group, grid.rate(k), seed, budget).items():
        store.save(out, label, k, seed, record)


def measure(out: Path, seed: int, budget: int) -> None:
    """Measure the edge that a sweep with this seed would start from."""
    edges.save(out, seed, edges.measured(_task, seed, budget))


def centre_of(task: Task) -> int:
    """Grid place of the usual rate of the task's optimizer."""
    usual = usual_rate(task.optimizer(task.model(), ANY_RATE))
    return grid.place(usual if usual is not None else 0.01)


class Table:
    """What has been recorded, and what is to be recorded next."""

    def __init__(self, out: Path, groups: list[Group], centre: int, seeds: tuple[int, int]) -> None:
        self.out, self.groups, self.centre, self.seeds = out, groups, centre, seeds
        labels = [label for group in groups for label in group]
        self.known = {label: store.results(out, label) for label in labels}

    @property
    def runs(self) -> int:
        return sum(len(cells) for cells in self.known.values())

    def wanted(self, group: Group) -> list[grid.Cell]:
        """The next cells of a group: of any of its shapes, as they are trained together."""
        cells = []
        for label in group:
            cells += grid.wanted(self.known[label], self.centre, *self.seeds)
        missing = [c for c in cells if any(c not in self.known[label] for label in group)]
        return list(dict.fromkeys(missing))

    def learn(self, group: Group) -> None:
        """Read what has come in."""
        for label in group:
            self.known[label] = store.results(self.out, label)


def record(table: Table, pool: ProcessPoolExecutor, budget: int, edge_seeds: int) -> None:
    """Until every shape's grid is complete. A group's next cells wait for its last ones."""
    out, begun, first = table.out, time.monotonic(), table.runs
    running: dict[Future[None], Group | None] = {}
    for seed in range(edge_seeds):
        if not edges.path_of(out, seed).exists():
            running[pool.submit(measure, out, seed, budget)] = None

    def submit(group: Group) -> None:
        for k, seed in table.wanted(group):
            running[pool.submit(work, out, group, k, seed, budget)] = group

    for group in table.groups:
        submit(group)
    told = 0.0
    while running:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()  # a failure is a failure of the task, and ends the recording
            group = running.pop(future)
            if group is not None and group not in running.values():
                table.learn(group)
                submit(group)
        if time.monotonic() - told > 10 or not running:
            told = time.monotonic()
            now = sum(len(list((out / label).glob("*.npz"))) for label in table.known)
            rate = (now - first) / (told - begun)
            line = f"{now} runs recorded, {len(running)} in line, {rate:.2f} runs/s"
            print(f"{out.name}: {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", required=True, help="name, 'module:name' or 'path.py:name'")
    parser.add_argument("--families", default=",".join(families.SHAPES), help="shapes, by comma")
    parser.add_argument("--budget", type=int, help="optimizer steps; the task's own by default")
    parser.add_argument("--seeds", type=int, default=grid.SEEDS, help="of every rate")
    parser.add_argument(
        "--best-seeds", type=int, default=grid.BEST_SEEDS, help="of rates within 5 %% of the best"
    )
    parser.add_argument("--edges", type=int, default=8, help="seeds that the edge is measured with")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    options = parser.parse_args()
    spec = options.task
    if ":" in spec and spec.partition(":")[0].endswith(".py"):
        path = Path(spec.rpartition(":")[0])
        here = Path(__file__).parent / path
        path = path if path.exists() or not here.exists() else here
        spec = f"{path.resolve()}:{spec.rpartition(':')[2]}"
    task = find_task(spec, EMBEDDED)
    if task.direction != "minimize":
        raise SystemExit(f"task {task.name!r} maximises its metric: give one that records a loss.")
    budget = options.budget or task.budget
    rungs.steps_of(budget)
    labels = tuple(options.families.split(","))
    centre = centre_of(task)
    manifest = {
        "task": task.name,
        "budget": budget,
        "families": labels,
        "columns": list(rungs.COLUMNS),
        "final": list(rungs.FINAL),
        "parts": list(rungs.PARTS),
        "centre": centre,
        "seeds": [options.seeds, options.best_seeds],
        "device": task.device,
        "environment": store.environment(),
    }
    groups = families.groups(labels)
    store.begin(options.out, manifest)
    table = Table(options.out, groups, centre, (options.seeds, options.best_seeds))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        options.jobs, context, initializer=begin_worker, initargs=(spec,)
    ) as pool:
        try:
            record(table, pool, budget, options.edges)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise SystemExit("stopped; the same command goes on from here.") from None


if __name__ == "__main__":
    main()
