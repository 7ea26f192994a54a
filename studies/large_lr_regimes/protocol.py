"""The paper's protocol for one training seed, whatever the networks (2410.22113, section 3).

Pre-train at every rate, average weights, fine-tune at rates of regime 1, measure all of them and
the ways between them. Every stage's weights are kept until the cell is done, so that a killed run
goes on after its last whole stage.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

from files import State, environment, write
from torch import Tensor

AVERAGE = 5  # checkpoints of the average that stands for all in the geometry
Stage = dict[str, Tensor]


class Cell(Protocol):
    """All networks of one training seed; weights are rows (n, d) everywhere."""

    finetune: tuple[int, ...]  # indices of the second rates, ascending
    averages: tuple[int, ...]

    def about(self) -> dict[str, Any]:
        """What the document says of the cell."""

    def pretrain(self) -> Stage:
        """Weights ``last``, averages ``average_k``; per epoch ``losses`` (epochs, n) or more."""

    def finetuned(self, index: int, start: Tensor) -> Stage:
        """The same from ``start`` at one rate."""

    def measure(self, w: Tensor, *, whole: bool) -> dict[str, Any]:
        """Loss and accuracy; with ``whole`` also what is dearer."""

    def between(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        """Angle, and barriers of training and test error."""

    def converged_at(self, stage: Stage) -> list[int | None]:
        """First epoch, from 1, in which the training data are fitted."""


def fill(path: Path, cell: Cell) -> None:
    """Run a cell and write its document, unless it is there."""
    if path.exists():
        return
    begun, name = time.perf_counter(), path.name.split(".")[0]
    state = State(path.parent / "state" / name)

    def say(what: str) -> None:
        print(f"{name}: {what}, {time.perf_counter() - begun:.0f} s", flush=True)

    stages = {"pretrained": state.get("pretrained")}
    if stages["pretrained"] is None:
        stages["pretrained"] = cell.pretrain()
        state.keep("pretrained", **stages["pretrained"])
    say("pre-trained")
    first = stages["pretrained"]
    points = {"pretrained": first["last"]}
    points |= {f"average {k}": first[f"average_{k}"] for k in cell.averages}
    for index in cell.finetune:
        stage = state.get(f"finetuned_{index}")
        if stage is None:
            stage = cell.finetuned(index, first["last"])
            state.keep(f"finetuned_{index}", **stage)
        stages[f"finetuned {index}"], points[f"finetuned {index}"] = stage, stage["last"]
        say(f"fine-tuned {index}")
    average, tuned = f"average {AVERAGE}", [f"finetuned {i}" for i in cell.finetune]
    low, high = tuned[0], tuned[-1]
    measured = {}
    for point, w in points.items():
        measured[point] = cell.measure(w, whole=point in tuned)
    say("measured")
    pairs = ((low, high), (low, average), (high, average))
    document = cell.about() | {
        "points": measured,
        "pairs": {f"{a}, {b}": cell.between(points[a], points[b]) for a, b in pairs},
        # about 25 epochs of each stage
        "losses": {k: v["losses"][:: max(1, len(v["losses"]) // 25)] for k, v in stages.items()},
        "converged_at": {k: cell.converged_at(v) for k, v in stages.items()},
        "seconds": time.perf_counter() - begun,
        "environment": environment(),
    }
    write(path, document)
    state.forget()
    say("done")


def first_true(hits: Tensor) -> list[int | None]:
    """First row, from 1, that holds in each column of (epochs, n)."""
    rows = hits.int().argmax(dim=0) + 1
    return [int(e) if hit else None for e, hit in zip(rows, hits.any(dim=0), strict=True)]
