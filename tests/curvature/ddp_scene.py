"""One rank of a data-parallel run under a watch; `test_parallel.py` starts two of them.

python ddp_scene.py SCENE RANK RENDEZVOUS RESULT
"""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lrsearch.curvature import (
    Hessian,
    Ranks,
    Watch,
    batch_sharpness,
    calibrate,
    critical_rate,
    hold,
    sharpness,
    solution_kind,
)
from lrsearch.exceptions import LrsearchError
from lrsearch.stability import CONTINUE, Reading, Verdict

STEPS, RANKS = 24, 2


class Stop(Exception):  # noqa: N818, named as hosts name theirs
    """What this host stops with."""


class Host:
    """Keeps readings; stops at a step, or fails there."""

    budget, peak = STEPS, 0.2

    def __init__(self, stop_at: int | None = None, fail_at: int | None = None) -> None:
        self.stop_at, self.fail_at = stop_at, fail_at
        self.kept: list[Reading] = []

    def emit(self, reading: Reading) -> None:
        if self.fail_at is not None and reading.step >= self.fail_at:
            raise OSError("the storage is gone")
        self.kept.append(reading)

    def decide(self, readings: Sequence[Reading]) -> Verdict:
        if self.stop_at is None or readings[-1].step < self.stop_at:
            return CONTINUE
        step = readings[-1].step
        return Verdict(stop=True, regime="diverged", step=step, reason="as told")

    def stop(self, verdict: Verdict) -> None:
        raise Stop(verdict.reason)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 3))


def batches(rank: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(100 + rank)
    return [
        (torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator))
        for _ in range(STEPS)
    ]


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def train(rank: int, host: Any, fault: str = "", watched: bool = True) -> dict[str, Any]:
    model = DistributedDataParallel(network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    losses, ended = [], "ran to its end"

    def probed(model: nn.Module, batch: Any) -> Tensor:
        if fault == "one rank fails" and rank == 1:
            raise KeyError("a column that only this rank lacks")
        if fault == "one rank draws" and rank == 1 and not torch.is_grad_enabled():
            torch.rand(())
        if fault == "one rank draws late" and rank == 1 and watch.steps > 12:
            torch.rand(())
        return loss_fn(model, batch)

    told: list[float] = []

    def held_out(model: nn.Module) -> float:
        if fault == "one rank's look fails" and rank == 1:
            raise KeyError("a split that only this rank lacks")
        model.eval()
        rounds = 12 if fault == "one rank's look is dear" and rank == 1 else 1
        for _ in range(rounds):
            found = float(loss_fn(model, batches(10 + rank)[0]))
        told.append(found)
        return found

    looks = held_out if "look" in fault else None
    watch = Watch(
        model, optimizer, probed, host=host, budget=STEPS, share=1.0, validation_loss=looks
    )
    if looks is not None:
        watch._looks.steps = tuple(range(8, STEPS))  # also in so short a run
    watch._cadence.every = 2  # eigenvalues too, in so short a run
    watch._cadence.share = 1e6
    if not watched:
        watch._cadence.next = -1
    try:
        with watch:
            for index, batch in enumerate(batches(rank)):
                optimizer.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                bad = fault == "one rank's loss is lost" and rank == 1 and index >= 9
                watch.step(loss * math.nan if bad else loss, batch)
    except (Stop, OSError, LrsearchError) as error:
        ended = f"{type(error).__name__}: {error}"
    return {
        "ended": ended,
        "steps": watch.steps,
        "cost": watch.cost,
        "losses": losses,
        "told": told,
        "readings": [r.to_dict() for r in watch.readings],
        "kept": [r.to_dict() for r in host.kept] if host is not None else [],
        "weights": [p.detach().flatten().tolist() for p in model.parameters()],
        "buffers": [b.flatten().tolist() for b in model.buffers()],
    }


def measures(rank: int) -> dict[str, Any]:
    """Two ranks with half of the data each, against one model with both halves."""
    model = DistributedDataParallel(network())
    both = [batches(r)[0] for r in range(RANKS)]
    mine, u = both[rank], [torch.ones_like(p) for p in model.parameters()]
    found = {
        "sharpness": sharpness(model, loss_fn, mine, tolerance=1e-6, max_hvps=60).value,
        "forwarded": sharpness(
            model, loss_fn, mine, tolerance=1e-6, max_hvps=60, method="forward-over-reverse"
        ).value,
        "differences": sharpness(model, loss_fn, mine, method="finite-difference").value,
        "critical": critical_rate(model, loss_fn, mine, direction=u, start=0.1).value,
        "batch": batch_sharpness(model, loss_fn, [mine]).ratio_of_means,
    }
    kind = solution_kind(model, loss_fn, mine)
    found |= {"level": kind.loss, "rise": kind.rise, "kind": kind.sharpness}
    bare = network()
    expected = {
        "sharpness": sharpness(bare, loss_fn, *both, tolerance=1e-6, max_hvps=60).value,
        "differences": sharpness(bare, loss_fn, *both, method="finite-difference").value,
        "critical": critical_rate(bare, loss_fn, *both, direction=u, start=0.1).value,
    }
    kind = solution_kind(bare, loss_fn, *both)
    expected |= {"level": kind.loss, "rise": kind.rise, "kind": kind.sharpness}
    with Hessian(bare, loss_fn, *both) as hessian:
        g = hessian.gradient()[1]
        expected["batch"] = float(g @ (hessian @ g) / (g @ g))
    expected["forwarded"] = expected["sharpness"]
    return {"found": found, "expected": expected}


def plain() -> nn.Module:
    """Without batch statistics, which are of half a batch on each rank; one layer is not used."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    return model


def calibration(rank: int) -> dict[str, Any]:
    """Two ranks with half of the data each, against one model with both halves."""
    halves = [batches(r) for r in range(RANKS)]
    whole = [tuple(map(torch.cat, zip(*pair, strict=True))) for pair in zip(*halves, strict=True)]
    told: list[str] = []

    def options(model: nn.Module) -> Any:
        return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5, weight_decay=0.1)

    def trained(model: nn.Module) -> list[list[float]]:
        optimizer = options(model)
        for batch in halves[rank]:
            optimizer.zero_grad()
            loss_fn(model, batch).backward()
            optimizer.step()
        return [p.detach().flatten().tolist() for p in model.parameters()]

    model = DistributedDataParallel(plain(), find_unused_parameters=True)
    before = [p.detach().clone() for p in model.parameters()]
    loss_fn(model, halves[rank][0])  # a forward pass that never comes to its backward pass
    shorter = halves[rank][: STEPS - 4 * rank]
    held, fresh = hold(shorter, 60, Ranks.of(model))
    found = calibrate(model, options(model), loss_fn, held, fresh, steps=30, progress=told.append)
    alone = plain()
    one, judge = whole[: len(held)], whole[len(held) : len(held) + len(fresh)]
    expected = calibrate(alone, options(alone), loss_fn, one, judge, steps=30)
    outcome = {
        "held": [len(held), len(fresh)],
        "found": found.to_dict(),
        "expected": expected.to_dict(),
        "told": len(told),
        "kept": all(map(torch.equal, before, model.parameters())),
        "gradients": [p.grad is None for p in model.parameters()],
        "trained": trained(model),
        "uncalibrated": trained(DistributedDataParallel(plain(), find_unused_parameters=True)),
    }

    def lacking(model: nn.Module, batch: Any) -> Tensor:
        if rank == 1:
            raise KeyError("a column that only this rank lacks")
        return loss_fn(model, batch)

    for name, call in {
        "lacking": lambda: calibrate(model, options(model), lacking, held, fresh, steps=30),
        "empty": lambda: hold([] if rank else held, 60, Ranks.of(model)),
        "iterator": lambda: hold(iter(held) if rank else held, 60, Ranks.of(model)),
    }.items():
        try:
            call()
        except LrsearchError as error:
            outcome[name] = f"{type(error).__name__}: {error}"
    return outcome


def main(scene: str, rank: int, rendezvous: str, result: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=RANKS)
    first = rank == 0
    outcome: dict[str, Any]
    if scene == "measures":
        outcome = measures(rank)
    elif scene == "calibration":
        outcome = calibration(rank)
    elif scene == "stop":
        outcome = train(rank, Host(stop_at=10) if first else None)
    elif scene == "every rank has a host":
        outcome = train(rank, Host(stop_at=10 if first else None))
    elif scene == "the host fails":
        outcome = train(rank, Host(fail_at=10) if first else None)
    elif scene == "looks" or scene.startswith("one rank"):
        outcome = train(rank, Host() if first else None, scene)
    else:
        outcome = {
            "watched": train(rank, Host() if first else None),
            "alone": train(rank, Host() if first else None, watched=False),
        }
    Path(result).write_text(json.dumps(outcome))
    dist.barrier()  # nobody leaves while another still talks
    os._exit(0)  # gloo's threads now and then abort a process that tears them down


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
