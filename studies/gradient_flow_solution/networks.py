"""Part C: small perceptrons on real images. Full-batch gradient descent; from iterates, the flow.

    python studies/gradient_flow_solution/networks.py [--quick] [--out FOLDER]

One raw file per model, rate and seed, written after every flow. Flows are followed by stabilised
steps (`stabilised.py`) and read where the loss has fallen to each of some goals: what the sharpness
still changes from the last goal but one to the last is what it is trusted to. From the start of a
seed `lrsearch.curvature.gradient_flow` follows them too, as far as it is let.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import environment as environment_of
from common import images, parsed, read, write
from network_tables import rises
from stabilised import flow
from torch import Tensor, nn
from torch.nn import functional

from lrsearch.curvature import gradient_flow, sharpness
from lrsearch.tasks import load_digits

Batch = tuple[Tensor, Tensor]
GOALS = (1e-3, 1e-4, 1e-5)  # losses at which a flow is read
MOST = 8_000  # gradients of a flow, at the most
CHECKED = 12_000  # of the same by `gradient_flow`
STEPS = (0, 4, 8, 16, 32, 64, 128, 256, 512, 1024)  # flows begin here
EVERY = 8  # steps between two readings of the sharpness
PRODUCTS = (2.6, 3.6)  # rate times the sharpness of the solution of the flow from the start


@dataclass(frozen=True)
class Net:
    """A perceptron and its examples: two classes of Fashion-MNIST, targets 1 and -1.

    Attributes:
        activation: Between the layers.
        classes: Which two; ``None`` for the digits 0 and 1, half the images.
        examples: How many.
        width: Of the two hidden layers.
        steps: Of gradient descent at which flows begin.
        goals: Losses at which a flow is read.
        tolerance: Of the flow: kinks allow no small one.
    """

    activation: Callable[[], nn.Module]
    classes: tuple[int, int] | None
    examples: int = 300
    width: int = 32
    steps: tuple[int, ...] = STEPS
    goals: tuple[float, ...] = GOALS
    tolerance: float = 1e-5

    def batch(self) -> Batch:
        if self.classes is None:
            part = load_digits().train
            x, y, (one, other) = part.images, part.labels, (0, 1)
        else:
            (x, y), (one, other) = images("fashion_mnist", 20 * self.examples)[0], self.classes
            x = functional.avg_pool2d(x, 2)
        kept = ((y == one) | (y == other)).nonzero().squeeze(1)[: self.examples]
        targets = torch.where(y[kept] == one, 1.0, -1.0).double()
        return x[kept].flatten(1).double(), targets.unsqueeze(1)

    def model(self, seed: int) -> nn.Module:
        inputs = self.batch()[0].shape[1]
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(inputs, self.width),
            self.activation(),
            nn.Linear(self.width, self.width),
            self.activation(),
            nn.Linear(self.width, 1),
        ).double()


NETS = {
    "tanh": Net(nn.Tanh, (1, 4)),
    "relu": Net(nn.ReLU, (1, 7), tolerance=1e-3),
    "quick": Net(nn.Tanh, None, examples=10, width=6, steps=(0, 8, 16), goals=(1e-2, 1e-3)),
}


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    """Half the squared error, mean over the examples."""
    return 0.5 * (model(batch[0]) - batch[1]).square().mean()


def place(model: nn.Module, w: Tensor) -> None:
    nn.utils.vector_to_parameters(w, model.parameters())


class Motion:
    """Velocity and sharpness of a model's flow, on vectors, and what they cost."""

    def __init__(self, model: nn.Module, batch: Batch) -> None:
        self.model, self.batch = model, batch
        self.params = list(model.parameters())
        self.gradients, self.hvps, self.loss, self.top = 0, 0, float("nan"), None

    def velocity(self, w: np.ndarray) -> np.ndarray:
        place(self.model, torch.from_numpy(w))
        loss = loss_fn(self.model, self.batch)
        slopes = torch.autograd.grad(loss, self.params)
        self.gradients, self.loss = self.gradients + 1, loss.item()
        return -torch.cat([slope.flatten() for slope in slopes]).numpy()

    def sharpness(self, w: np.ndarray, tolerance: float = 0.05) -> float:
        place(self.model, torch.from_numpy(w))
        found = sharpness(
            self.model, loss_fn, self.batch, start=self.top, tolerance=tolerance, max_hvps=60
        )
        self.top, self.hvps = found, self.hvps + found.hvps
        return found.value


def solution(net: Net, model: nn.Module, batch: Batch) -> dict[str, Any]:
    """Sharpness at the end of the flow from here, read at each goal; the model stays as it was."""
    begun = time.perf_counter()
    here = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    motion, goals, stages = Motion(model, batch), list(net.goals), []
    before = (0.0, here.numpy().copy(), loss_fn(model, batch).item())
    for passed, w in flow(motion.velocity, motion.sharpness, before[1], net.tolerance):
        loss, spent = motion.loss, motion.gradients > MOST
        while goals and (loss <= goals[0] or spent):
            goal = goals.pop(0)
            share = (
                1.0
                if spent
                else min(max(np.log(before[2] / goal), 0.0) / np.log(before[2] / loss), 1.0)
            )
            at = before[1] + share * (w - before[1])
            top = motion.sharpness(at, 1e-4)
            stages.append({"goal": goal, "loss": loss_fn(model, batch).item(), "time": passed,
                           "sharpness": top, "reached": not spent,
                           "gradients": motion.gradients, "hvps": motion.hvps})  # fmt: skip
        if not goals:
            break
        before = (passed, w, loss)
    place(model, here)
    return {"stages": stages, "seconds": time.perf_counter() - begun}


def checked(net: Net, model: nn.Module, batch: Batch) -> dict[str, Any]:
    """The same by the package's own integrator, and the stabilised one at its time."""
    found = gradient_flow(model, loss_fn, batch, max_gradients=CHECKED)
    here = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    motion, before = Motion(model, batch), (0.0, here.numpy().copy())
    for passed, w in flow(motion.velocity, motion.sharpness, before[1], net.tolerance):
        if passed >= found.time:
            share = (found.time - before[0]) / (passed - before[0])
            w = before[1] + share * (w - before[1])
            break
        before = (passed, w)
    own = motion.sharpness(w, 1e-4)
    place(model, here)
    return {"sharpness": found.sharpness, "error": found.error, "loss": found.loss,
            "gradients": found.gradients, "time": found.time, "converged": found.converged,
            "own_sharpness": own, "own_gradients": motion.gradients,
            "distance": float(np.linalg.norm(w - found.parameters.numpy())),
            "way": float(np.linalg.norm(w - here.numpy()))}  # fmt: skip


def descend(model: nn.Module, batch: Batch, rate: float) -> float:
    """One step of gradient descent; returns the loss before it."""
    params = list(model.parameters())
    loss = loss_fn(model, batch)
    slopes = torch.autograd.grad(loss, params)
    with torch.no_grad():
        for p, slope in zip(params, slopes, strict=True):
            p -= rate * slope
    return loss.item()


def curve(net: Net, model: nn.Module, batch: Batch, rate: float) -> dict[str, Any]:
    """Losses of every step, readings of the sharpness, and weights where flows begin."""
    losses, readings, kept, top = [], [], {}, None
    for step in range(net.steps[-1] + 1):
        if step % EVERY == 0 or step in net.steps:
            top = sharpness(model, loss_fn, batch, start=top, tolerance=0.01)
            readings.append([step, top.value])
        if step in net.steps:
            kept[step] = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        losses.append(descend(model, batch, rate))
        if not losses[-1] < 100 * losses[0]:
            break
    return {"losses": losses, "readings": readings, "kept": kept}


def run(path: Path, name: str, product: float, seed: int, first: dict[str, Any]) -> None:
    """Gradient descent anew (it is cheap), then the flows that the file lacks."""
    net, batch = NETS[name], NETS[name].batch()
    rate = product / first["stages"][-1]["sharpness"]
    model = net.model(seed)
    found = curve(net, model, batch, rate)
    cell: dict[str, Any] = {
        "net": name,
        "product": product,
        "rate": rate,
        "seed": seed,
        "examples": len(batch[0]),
        "parameters": sum(p.numel() for p in model.parameters()),
        "losses": found["losses"],
        "readings": found["readings"],
        "flows": {"0": first},
        "environment": environment_of(),
    }
    cell["flows"] |= read(path)["flows"] if path.exists() else {}
    for step, w in found["kept"].items():
        if str(step) not in cell["flows"]:
            place(model, w)
            cell["flows"][str(step)] = solution(net, model, batch)
            write(path, cell)
            last = cell["flows"][str(step)]["stages"][-1]
            print(f"{path.name[:-8]} step {step}: loss {found['losses'][step]:.3g}, flow to "
                  f"{last['loss']:.2g}, rate x sharpness {rate * last['sharpness']:.4f}, "
                  f"{cell['flows'][str(step)]['seconds']:.0f} s", flush=True)  # fmt: skip


def again(path: Path) -> None:
    """Both ends of every rise beyond the error, by the package's integrator."""
    cell = read(path)
    net, found = NETS[cell["net"]], cell.get("again", {})
    steps = {step for pair in rises(cell)[1] for step in pair}
    if not steps - {int(step) for step in found}:
        return
    model, batch = net.model(cell["seed"]), net.batch()
    kept = curve(net, model, batch, cell["rate"])["kept"]
    for step in sorted(steps):
        if str(step) not in found:
            place(model, kept[step])
            end = gradient_flow(model, loss_fn, batch, max_gradients=CHECKED)
            found[str(step)] = {"sharpness": end.sharpness, "loss": end.loss, "error": end.error}
            write(path, {**cell, "again": found})
            print(f"{path.name} step {step} again: {found[str(step)]}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    options = parsed(__doc__, arguments, "networks")
    seeds = (0,) if options.quick else tuple(options.seeds)
    names = ("quick",) if options.quick else ("tanh", "relu")
    for seed in seeds:
        for name in names:
            start = options.out / f"{name}_start_{seed}.json.gz"
            net = NETS[name]
            if not start.exists():
                at = solution(net, net.model(seed), net.batch())
                write(start, {"flow": at, "environment": environment_of()})
                print(start.name, at, flush=True)
            first = read(start)["flow"]
            for product in PRODUCTS[:1] if options.quick else PRODUCTS:
                path = options.out / f"{name}_{product}_{seed}.json.gz"
                flows = read(path)["flows"] if path.exists() else {}
                if len(flows) < len(net.steps):
                    run(path, name, product, seed, first)
                again(path)

    for name in ("quick",) if options.quick else ("tanh", "relu"):
        path = options.out / f"{name}_check.json.gz"
        if not path.exists():
            net = NETS[name]
            at = checked(net, net.model(0), net.batch())
            write(path, {**at, "environment": environment_of()})
            print(path.name, at, flush=True)


if __name__ == "__main__":
    main()
