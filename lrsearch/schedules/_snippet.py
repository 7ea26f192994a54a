"""A schedule as a few lines of torch that run where lrsearch is not installed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from lrsearch.schedules._document import plain
from lrsearch.schedules._family import Parameters
from lrsearch.schedules._wsd import cooldown_steps

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule

# A provenance item is a summary in a comment; the JSON document has all of it.
_COMMENT_CHARACTERS = 95

# The first line must stay a docstring: a comment in the first two lines may declare an encoding,
# and what provenance says comes from files (`coding: utf-7` would turn `+AAo-` into a line break).
_TEMPLATE = '''\
"""Learning-rate schedule exported by lrsearch; needs only torch."""

{provenance}
import math

import torch

PEAK = {peak!r}  # learning rate of parameter group 0
END = {end_value!r}  # learning rate at step BUDGET
BUDGET = {budget!r}  # optimizer steps
WARMUP = {warmup_steps!r}  # optimizer steps of linear warm-up


def learning_rate(step):
    """Return the learning rate of update `step` (0, 1, ...); from BUDGET on it holds."""
    if step < 0:
        raise ValueError(f"step must be >= 0, got {{step}}")
    if step < WARMUP:
        return PEAK * ((step + 1) / (WARMUP + 1))
    left, steps = max(BUDGET - step, 0), BUDGET - WARMUP
{shape}
    return PEAK * shape + END * (1.0 - shape)


def scheduler(optimizer):
    """Return a torch scheduler; parameter groups keep their ratio to group 0."""
    group = optimizer.param_groups[0]
    reference = float(group.get("initial_lr", group["lr"]))
    if not (math.isfinite(reference) and reference > 0.0):
        raise ValueError(f"parameter group 0 needs a learning rate above 0, got {{reference}}")
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate(step) / reference
    )
'''


def _constant(budget: int, parameters: Parameters) -> list[str]:
    return ["shape = 1.0"]


def _linear(budget: int, parameters: Parameters) -> list[str]:
    return ["shape = left / steps"]


def _cosine(budget: int, parameters: Parameters) -> list[str]:
    return ["sine = math.sin(math.pi / 2 * (left / steps))", "shape = sine * sine"]


def _wsd(budget: int, parameters: Parameters) -> list[str]:
    x = "x" if parameters["cooldown_shape"] == "linear" else "math.sqrt(x)"
    return [
        f"cooldown = {cooldown_steps(budget, parameters)!r}  # optimizer steps",
        "x = max(cooldown - left, 0) / cooldown",
        f"shape = 1.0 - {x}",
    ]


def _uba(budget: int, parameters: Parameters) -> list[str]:
    if parameters["phi"] == 0.0:
        return ["shape = 1.0"]
    return [
        f"phi = {parameters['phi']!r}",
        "c = math.sin(math.pi / 2 * (left / steps)) ** 2",
        "s = math.sin(math.pi / 2 * ((steps - left) / steps)) ** 2",
        "shape = 2.0 * c / (2.0 * c + phi * s)",
    ]


SHAPE_SOURCES: Mapping[str, Callable[[int, Parameters], list[str]]] = MappingProxyType(
    {"constant": _constant, "linear": _linear, "cosine": _cosine, "wsd": _wsd, "uba": _uba}
)


def to_torch(schedule: Schedule) -> str:
    """Return the source of a Python module that gives the same learning rates.

    It imports math and torch and defines `learning_rate(step)` and `scheduler(optimizer)`, a
    `LambdaLR` whose parameter groups keep their ratio to group 0. Comments carry a summary of the
    provenance, escaped: nothing that a document says becomes code.

    Raises:
        DocumentError: If the provenance is not JSON.
    """
    lines = SHAPE_SOURCES[schedule.family](schedule.budget, schedule.parameters)
    return _TEMPLATE.format(
        provenance=_comments(schedule),
        peak=schedule.peak,
        end_value=schedule.end_value,
        budget=schedule.budget,
        warmup_steps=schedule.warmup_steps,
        shape="\n".join(f"    {line}" for line in lines),
    )


def _comments(schedule: Schedule) -> str:
    lines = [_comment("Family", schedule.family), _comment("Parameters", schedule.parameters)]
    for name, value in sorted(schedule.provenance.items()):  # one text for equal schedules
        lines.append(_comment(f"Provenance {json.dumps(name)}", value))
    return "\n".join(lines)


def _comment(title: str, value: object) -> str:
    """Return one line: JSON in ASCII escapes every kind of line break inside its strings."""
    line = f"# {title}: {json.dumps(plain(value, title), sort_keys=True)}"
    cut = len(line) > _COMMENT_CHARACTERS
    return line[: _COMMENT_CHARACTERS - 3] + "..." if cut else line
