"""Transfer over width by muP (Yang et al. 2022, 2203.03466), for the pairs of `specs.py`.

    pip install mup
    python mup_wide.py [--tasks NAME ...] [--jobs 2]     # one file a task in raw/mup/

The pairs that differ in width are trained once more in the parametrisation and with the optimizers
of the `mup` package (base width: the small one's), only over their own budget. Its readout starts
at zero and weights as `mup` initialises them, as its authors recommend.
"""

import os
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import archive
import mup
import pool
import rates
import torch
from ladder import climb, environment
from specs import BY_NAME, OPTIMIZERS, PAIRS, Spec
from torch import nn, optim

BASE, DELTA = 32, 64  # widths that tell mup which dimensions grow
MAKERS = {optim.SGD: mup.MuSGD, optim.Adam: mup.MuAdam, optim.AdamW: mup.MuAdamW}
WIDTHS = tuple(pair for pair in PAIRS if pair[0].width != pair[1].width)


def perceptron(width: int) -> nn.Module:
    """The judge's perceptron, with the readout that mup wants."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        mup.MuReadout(width, 10, readout_zero_init=True),
    )


def parametrised(width: int) -> nn.Module:
    """At a width, with base shapes set and hidden weights initialised by mup."""
    model = perceptron(width)
    mup.set_base_shapes(model, perceptron(BASE), delta=perceptron(DELTA))
    for layer in (model[1], model[3]):
        mup.init.kaiming_uniform_(layer.weight, a=5**0.5)  # torch's own for linear layers
    return model


@dataclass(frozen=True)
class Wide(Spec):
    """A task in muP."""

    def plain(self) -> nn.Module:
        return parametrised(self.width)

    def optimizer_for(self, model: nn.Module, rate: float) -> optim.Optimizer:
        _, build, options = OPTIMIZERS[self.optimizer]
        made: optim.Optimizer = MAKERS[build](model.parameters(), lr=rate, **options)
        return made


def wide(spec: Spec) -> Wide:
    return Wide(spec.data, spec.model, spec.width, spec.optimizer, spec.batch, spec.budget)


def record(name: str) -> str:
    """The runs of a task's budget at rates around its best, as `ladder.record` has them."""
    torch.set_num_threads(1)
    spec, path = BY_NAME[name], archive.mup_of(name)
    if not path.exists():
        start = rates.place(archive.load(archive.path_of(name))["usual_rate"])
        found = climb(wide(spec), spec.budget, "full", start)
        plain = {str(k): found[k] for k in sorted(found)}
        about: dict[str, Any] = {"task": name}
        archive.save(path, about | {"environment": environment(), "runs": plain})
    return name


def main() -> None:
    assert __doc__ is not None
    pool.run(__doc__, record, [spec.name for pair in WIDTHS for spec in pair])


if __name__ == "__main__":
    main()
