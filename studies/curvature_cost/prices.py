"""Time and memory: what one product, one reading and a whole watch cost, in gradients of the run.

Prices are ratios to a gradient measured in the same round; overheads are ratios of twin runs that
take turns every few steps.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import torch
from models import Run, build, loss_fn
from solvers import curvlinops_operator, eigenthings_operator

from lrsearch.curvature import Hessian, Watch, curvature_along, quiet, sharpness

METHODS = ("double-backward", "forward-over-reverse", "finite-difference", "gauss-newton")
SEGMENT = 25


def clock(device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def price(run: Run, size: int, rounds: int) -> dict:
    """Times of everything in every round, in units of that round's gradient."""
    device, batch = str(run.labels.device), run.probe(size)
    for _ in range(10):
        run.step()
    earlier = sharpness(run.model, loss_fn, batch, optimizer=run.optimizer)
    for _ in range(10):
        run.step()
    before = [p.detach().clone() for p in run.model.parameters()]
    run.step()
    update = [p.detach() - b for p, b in zip(run.model.parameters(), before, strict=True)]
    params = list(run.model.parameters())
    vector = torch.randn(sum(p.numel() for p in params), generator=torch.Generator().manual_seed(1))
    vector = (vector / vector.norm()).to(device)
    table: dict[str, list[float]] = {}
    hvps: dict[str, int] = {}

    def gradient() -> None:
        run.optimizer.zero_grad()
        loss_fn(run.model, batch).backward()

    def timed(name: str, call: Callable[[], object], repeats: int = 1) -> object:
        begun = clock(device)
        for _ in range(repeats):
            found = call()
        now[name] = (clock(device) - begun) / repeats
        return found

    def forward() -> None:
        with quiet(run.model):
            loss_fn(run.model, batch)

    repeats = 3 if size < 1024 else 1
    for i in range(rounds + 1):
        now: dict[str, float] = {}
        timed("gradient before", gradient, repeats)
        timed("forward", forward, repeats)
        with Hessian(run.model, loss_fn, batch, method="double-backward") as hessian:
            timed("graph", hessian.gradient)
            timed("double-backward, reused", lambda h=hessian: h @ vector, 2)
        with Hessian(run.model, loss_fn, batch, method="double-backward") as hessian:
            timed("double-backward, first", lambda h=hessian: h @ vector)
        for name in ("forward-over-reverse", "finite-difference"):
            with Hessian(run.model, loss_fn, batch, method=name) as hessian:
                timed(name, lambda h=hessian: h @ vector)
        with Hessian(run.model, loss_fn, batch, method="gauss-newton") as hessian:
            timed("gauss-newton, first", lambda h=hessian: h @ vector)
            timed("gauss-newton, reused", lambda h=hessian: h @ vector, 2)
        timed(
            "forward-only reading",
            lambda: curvature_along(run.model, loss_fn, batch, direction=update, method="forward"),
        )
        found = timed(
            "sharpness, warm",
            lambda: sharpness(run.model, loss_fn, batch, optimizer=run.optimizer, start=earlier),
        )
        hvps["sharpness, warm"] = found.hvps
        found = timed(
            "sharpness, cold",
            lambda: sharpness(run.model, loss_fn, batch, optimizer=run.optimizer),
        )
        hvps["sharpness, cold"] = found.hvps
        with quiet(run.model, graph=True):
            operator = curvlinops_operator(run.model, batch)
            if operator is not None:
                timed("curvlinops product", lambda o=operator: o @ vector)
            operator = eigenthings_operator(run.model, batch, loss_fn)
            if operator is not None:
                timed("eigenthings product", lambda o=operator: o.matvec(vector))
        timed("gradient after", gradient, repeats)
        unit = (now.pop("gradient before") + now.pop("gradient after")) / 2
        if i:  # the first round warms up
            table.setdefault("milliseconds", []).append(1000 * unit)
            for name, seconds in now.items():
                table.setdefault(name, []).append(seconds / unit)
    firsts, reused = table["gauss-newton, first"], table["gauss-newton, reused"]
    table["gauss-newton, graphs"] = [a - b for a, b in zip(firsts, reused, strict=True)]
    found = {name: round(median(values), 4) for name, values in table.items()}
    quartiles = {name: _quartiles(values) for name, values in table.items()}
    return {"rounds": rounds, "median": found, "quartiles": quartiles, "hvps": hvps}


def _quartiles(values: list[float]) -> list[float]:
    found = sorted(values)
    return [round(found[len(found) // 4], 4), round(found[(3 * len(found)) // 4], 4)]


@contextmanager
def hushed() -> Iterator[None]:
    """The profiler writes to the error stream behind Python's back."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def peak(device: str, call: Callable[[], object]) -> tuple[int, int]:
    """Bytes of tensors above the level at the start: highest while it ran, and what it left.

    What ``call`` returns is held until the end, so that it counts as left. On the CPU, tensors that
    are older than the call must not be freed in it: their sizes would not be known.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        level = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        held = call()
        torch.cuda.synchronize()
        found = torch.cuda.max_memory_allocated() - level, torch.cuda.memory_allocated() - level
        del held
        return found
    from torch.profiler import ProfilerActivity, profile

    with hushed(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        held = call()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    level = highest = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        level += event.nbytes()
        highest = max(highest, level)
    del held
    return highest, level


def check_tracker(device: str) -> dict:
    """The tracker on allocations whose sizes are known: 4 MiB kept, 8 MiB beside it for a while."""

    def known() -> torch.Tensor:
        kept = torch.empty(1 << 20, device=device)
        torch.empty(1 << 21, device=device).zero_()
        torch.empty(1 << 20, device=device).zero_()
        return kept

    highest, left = peak(device, known)
    expected = [3 << 22, 1 << 22]
    if max(abs(highest - expected[0]), abs(left - expected[1])) > 4096:
        raise AssertionError(f"the memory tracker says {highest, left}, not {expected}")
    return {"expected": expected, "measured": [highest, left]}


def memory(kind: str, optimizer: str, size: int, device: str, scale: int) -> dict:
    """Peaks above the level of a run that stands between two steps without gradients."""
    document: dict = {"check": check_tracker(device)}
    run = build(kind, optimizer, device=device, scale=scale, batch_size=size)
    batch = run.probe(size)
    for _ in range(3):
        run.step()
    document["parameters"] = sum(p.numel() * p.element_size() for p in run.model.parameters())
    loss_fn(run.model, batch)
    document["graph"] = peak(device, lambda: loss_fn(run.model, batch))[1]
    steps = 60

    def plain() -> None:
        for _ in range(steps):
            run.step()

    def watched() -> Watch:
        with Watch(run.model, run.optimizer, loss_fn, budget=steps) as watch:
            for _ in range(steps):
                watch.step(*run.step())
        assert watch.readings
        return watch

    for name, call in (("plain", plain), ("watched", watched)):
        run.optimizer.zero_grad()
        document[name] = peak(device, call)
    for name in METHODS:
        for start in ("cold", "warm"):
            earlier = None
            if start == "warm":
                earlier = sharpness(run.model, loss_fn, batch, optimizer=run.optimizer, method=name)
                run.step()

            def reading(name: str = name, earlier: object = earlier) -> object:
                return sharpness(
                    run.model, loss_fn, batch, optimizer=run.optimizer, method=name, start=earlier
                )

            found = reading()
            highest, left = peak(device, reading)  # on top of the gradients that are there
            highest += sum(p.grad.numel() * p.grad.element_size() for p in run.model.parameters())
            document[f"{name}, {start}"] = [highest, left, found.hvps]
    return document


def overhead(
    kind: str, optimizer: str, size: int, steps: int, pairs: int, device: str, scale: int
) -> dict:
    """Twin runs, one of them watched, that take turns every few steps; order alternates."""
    rows = []
    for pair in range(pairs):
        plain, twin = (
            build(kind, optimizer, device=device, scale=scale, batch_size=size, seed=pair)
            for _ in range(2)
        )
        wall, cpu = [0.0, 0.0], [0.0, 0.0]
        with Watch(twin.model, twin.optimizer, loss_fn, budget=steps) as watch:
            for segment in range(0, steps, SEGMENT):
                count = min(SEGMENT, steps - segment)
                order = (0, 1) if (segment // SEGMENT + pair) % 2 else (1, 0)
                for which in order:
                    begun, used = clock(device), time.process_time()
                    for _ in range(count):
                        if which:
                            watch.step(*twin.step())
                        else:
                            plain.step()
                    wall[which] += clock(device) - begun
                    cpu[which] += time.process_time() - used
        same = all(
            torch.equal(a, b)
            for a, b in zip(
                plain.model.state_dict().values(), twin.model.state_dict().values(), strict=True
            )
        )
        rows.append(
            {
                "wall": wall[1] / wall[0],
                "cpu": cpu[1] / cpu[0],
                "milliseconds": 1000 * wall[0] / steps,
                "account": watch.overhead,
                "readings": len(watch.readings),
                "identical": same,
            }
        )
    return {"pairs": pairs, "rows": rows}
