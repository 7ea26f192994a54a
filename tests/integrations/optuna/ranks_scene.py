"""One rank of a study that two ranks share; `test_ranks.py` starts both.

python ranks_scene.py SCENE STORAGE RESULTS [RANK RENDEZVOUS]

torchrun gives the last two otherwise.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
import warnings
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import optuna
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import lrsearch

SPACE = lrsearch.ScheduleSpace(budget=40, families=("constant", "linear"))
SEEN: list[dict[str, Any]] = []
LOSSES = [0]


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    LOSSES[0] += 1
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def shard(rank: int) -> list[tuple[Tensor, Tensor]]:
    """This rank's batches: the second has fewer."""
    generator = torch.Generator().manual_seed(100 + rank)
    x = torch.randn(12 - rank, 16, 6, generator=generator)
    return [(b, b[:, :3].argmax(1)) for b in x]


def training(trial: Any) -> float:
    """What a user writes; the third trial's metric is lost."""
    rank = dist.get_rank()
    width = trial.suggest_int("width", 4, 8)
    torch.manual_seed(rank)  # DDP gives all the first rank's weights
    bare = nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.Tanh(), nn.Linear(width, 3))
    model = DistributedDataParallel(bare)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before, loader = LOSSES[0], shard(rank)
    edge = lrsearch.edge(trial, model, optimizer, loss_fn, loader, key="all widths")
    seen: dict[str, Any] = {"edge": edge.to_dict(), "measured": LOSSES[0] - before}
    SEEN.append(seen)
    seen["start"] = [p.detach().flatten().tolist() for p in model.parameters()]
    schedule = SPACE.suggest(trial, edge)
    scheduler = schedule.torch(optimizer)
    watch = lrsearch.watch(model, optimizer, loss_fn, host=trial)
    try:
        with watch:
            for batch in islice(cycle(loader), schedule.budget):
                loss = loss_fn(model, batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if watch.steps < schedule.budget:
                    scheduler.step()
                watch.step(loss, batch)
    finally:
        seen |= {
            "number": trial.number,
            "params": trial.params,
            "plan": trial.user_attrs["lrsearch:plan"],
            "schedule": schedule.to_dict(),
            "steps": watch.steps,
            "readings": [r.to_dict() for r in watch.readings],
            "end": [p.detach().flatten().tolist() for p in model.parameters()],
            "ended": repr(sys.exception()),
        }
    with torch.no_grad():
        value = sum(loss_fn(bare, batch).item() for batch in loader)
    return math.nan if trial.number == 2 else value  # and of its own data on each rank


def failing(trial: Any) -> float:
    """One way to fail after the other; all of them where the ranks can meet."""
    rank, number = dist.get_rank(), trial.number
    if (number, rank) in {(0, 1), (1, 0)}:
        raise MemoryError(f"no room on rank {rank}")
    x = trial.suggest_float("x", 0.0, 1.0)
    dist.all_reduce(torch.ones(1))
    if (number, rank) in {(2, 0), (3, 1)}:
        raise OSError("validation data gone")
    if number == 4:
        raise ValueError("the same on all")
    if number == 5:
        trial.suggest_float("y" if rank else "z", 0.0, 1.0)
    if number == 6 and rank:
        return 0.0  # early
    if number == 6:
        trial.suggest_categorical("c", ["a", "b"])
    if number == 7:
        trial.report(0.1, 3)
        SEEN.append({"prune": trial.should_prune()})
        raise optuna.TrialPruned
    if number == 8:
        return None if rank == 0 else 0.0  # type: ignore[return-value]
    if number == 9:
        lrsearch.edge(trial, nn.Linear(6, 3), None, loss_fn, shard(rank))  # type: ignore[arg-type]
    SEEN.append({"x": x, "number": number, "attributes": trial.user_attrs.get("told")})
    return x


def bare_model(trial: Any) -> float:
    """Ranks whose model is no DDP: the first measures, the others are told."""
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    edge = lrsearch.edge(trial, model, optimizer, loss_fn, shard(dist.get_rank()), budget=60)
    SEEN.append({"edge": edge.to_dict(), "losses": LOSSES[0]})
    return edge.learning_rate


def stuck(trial: Any) -> float:
    """In the second trial one rank leaves the other in a collective; not in a second life."""
    leaver, again = os.environ["LEAVER"], os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    if trial.number == 1 and str(dist.get_rank()) == leaver and not again:
        how = os.environ.get("HOW", "raise")
        if how == "raise":
            raise MemoryError("no room for gradients")
        if how == "interrupt":
            raise KeyboardInterrupt
        if how == "exit":
            os._exit(7)
    dist.all_reduce(torch.ones(1))
    return trial.suggest_float("x", 0.0, 1.0)


def interrupted(trial: Any) -> float:
    """In the second trial one rank is interrupted, in its objective or while it waits."""
    if trial.number == 1 and str(dist.get_rank()) == os.environ["LEAVER"]:
        if os.environ["HOW"] == "at work":
            raise KeyboardInterrupt
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        return 0.0
    if trial.number == 1 and os.environ["HOW"] == "waiting":
        time.sleep(2.0)
        return 0.0
    return trial.suggest_float("x", 0.0, 1.0)


def stopping(study: optuna.Study, trial: Any) -> None:
    if trial.number == 2:
        study.stop()


OBJECTIVES = {
    "study": training,
    "failing": failing,
    "bare": bare_model,
    "no study": stuck,
    "stuck": stuck,
    "interrupted": interrupted,
}


def main(scene: str, storage: str, results: str, rank: str = "", rendezvous: str = "") -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" has it ignored
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    patience, limit = (float(s) for s in os.environ.get("PATIENCE", "60 1800").split())
    there: dict[str, Any] = {}
    if rank:
        there = {"init_method": f"file://{rendezvous}", "rank": int(rank), "world_size": 2}
    dist.init_process_group("gloo", timeout=timedelta(seconds=limit), **there)
    study = None
    if scene != "no study" and dist.get_rank() == 0:
        study = optuna.create_study(
            storage=storage,
            study_name="s",
            load_if_exists=True,
            sampler=lrsearch.EdgeSampler(SPACE, seed=0),
            pruner=lrsearch.StabilityPruner(),
        )
        if scene == "study" and not study.trials:
            study.enqueue_trial({})
            lrsearch.enqueue(study, 1e6, "constant")
    options: dict[str, Any] = {"n_trials": int(os.environ.get("TRIALS", "4")), "patience": patience}
    if "CATCH" in os.environ:
        options["catch"] = ()
    if "STOP" in os.environ:
        options["callbacks"] = [stopping]
    ended, begun = "returned", time.monotonic()
    try:
        lrsearch.optimize(study, OBJECTIVES[scene], **options)
    except (Exception, KeyboardInterrupt) as error:
        ended = f"{type(error).__name__}: {error}"
    outcome = {"ended": ended, "seconds": time.monotonic() - begun, "seen": SEEN}
    Path(results, f"rank{dist.get_rank()}.json").write_text(json.dumps(outcome))
    if ended != "returned":
        sys.exit(3)  # in the ordinary way: this may not hang either
    dist.destroy_process_group()


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(*sys.argv[1:])
