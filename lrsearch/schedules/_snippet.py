"""A schedule as a few lines of Python that run where lrsearch is not installed."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

from lrsearch.exceptions import InvalidScheduleError, UnsupportedError
from lrsearch.schedules._body import body
from lrsearch.schedules._document import encode, plain
from lrsearch.schedules._refuse_averaging import refuse_averaging
from lrsearch.schedules._refuse_tuner import refuse_tuner
from lrsearch.schedules._source import JAX, MATH, NUMPY, Dialect
from lrsearch.schedules.shapes import get_family

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule

# A provenance item is a summary in a comment; the JSON document has all of it.
_COMMENT_CHARACTERS = 95

# The first line must stay a docstring: a comment in the first two lines may declare an encoding,
# and what provenance says comes from files (`coding: utf-7` would turn `+AAo-` into a line break).
_HEAD = '''\
"""Learning-rate schedule exported by lrsearch; needs only {needs}."""

{provenance}
{imports}

PEAK = {peak!r}  # {peak_of}
END = {end_value!r}  # learning rate at step BUDGET, where the shape reaches its end
BUDGET = {budget!r}  # optimizer steps
WARMUP = {warmup_steps!r}  # optimizer steps of linear warm-up
START = {start!r}  # where the warm-up leads to


def learning_rate(step):
    """{summary}"""
{check}{rate}
'''
_CHECK = {
    MATH: """\
    if step < 0:
        raise ValueError(f"step must be >= 0, got {step}")
""",
    NUMPY: """\
    step = np.asarray(step, dtype=float)
    if np.any(step < 0):
        raise ValueError(f"step must be >= 0, got {step.min()}")
""",
    JAX: "    step = jnp.asarray(step, dtype=int)\n",
}
_SUMMARY = {
    MATH: "Return the learning rate of update `step` (0, 1, ...); from BUDGET on it holds.",
    NUMPY: "Return the learning rates of updates `step`, a number or an array of numbers >= 0.",
    JAX: "Return the learning rate of update `step`; an optax schedule, such as `optax.sgd` takes.",
}
_MOMENTUM = '''

def momentum(step):
    """Return the momentum (Adam: the first beta) of update `step`."""
{momentum}
'''
_SCHEDULER = '''

def scheduler(optimizer):
    """Return a torch scheduler; parameter groups keep their ratio to group 0."""
    group = optimizer.param_groups[0]
    reference = float(group.get("initial_lr", group["lr"]))
    if not (math.isfinite(reference) and reference > 0.0):
        raise ValueError(f"parameter group 0 needs a learning rate above 0, got {reference}")
    return {scheduler}(
        optimizer, lambda step: learning_rate(step) / reference
    )
'''
_CYCLING = '''

class Cycling(torch.optim.lr_scheduler.LambdaLR):
    """Sets the momentum of every group as well."""

    def get_lr(self):
        value = momentum(self.last_epoch)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (value, *group["betas"][1:])
            elif group.get("momentum") or self.optimizer.defaults.get("momentum"):
                group["momentum"] = value
            else:
                raise ValueError("this schedule cycles momentum; build the optimizer with some")
        return super().get_lr()
'''
_AVERAGING = '''
AVERAGE_FROM = {first!r}  # the first update whose weights count
AVERAGE_EVERY = {every!r}  # optimizer steps


def averaged(model):
    """Return the model whose weights will be the average; give it to `update_averaged`."""
    decay = {decay!r}  # of an exponential mean; None for the plain one
    if decay is None:
        return torch.optim.swa_utils.AveragedModel(model)
    average = torch.optim.swa_utils.get_ema_avg_fn(decay)
    return torch.optim.swa_utils.AveragedModel(model, avg_fn=average)


def update_averaged(average, model, step):
    """Call after update `step` (0, 1, ...). Batch normalisation: call `update_bn` at the end."""
    after = step - AVERAGE_FROM
    if after >= 0 and step < BUDGET and after % AVERAGE_EVERY == 0:
        average.update_parameters(model)
'''


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _module(schedule: Schedule, dialect: Dialect, needs: str, imports: str, peak_of: str) -> str:
    text = _HEAD.format(
        needs=needs,
        provenance=_comments(schedule),
        imports=imports,
        peak=schedule.peak,
        peak_of=peak_of,
        end_value=schedule.end_value,
        budget=schedule.budget,
        warmup_steps=schedule.warmup_steps,
        start=schedule(schedule.warmup_steps),
        summary=_SUMMARY[dialect],
        check=_CHECK[dialect],
        rate=_indented(body(schedule, dialect)),
    )
    if schedule.momentum(0) is not None:
        text += _MOMENTUM.format(momentum=_indented(body(schedule, dialect, momentum=True)))
    return text


def to_torch(schedule: Schedule) -> str:
    """Return the source of a Python module that gives the same learning rates.

    It imports math and torch and defines `learning_rate(step)` and `scheduler(optimizer)`, a
    `LambdaLR` whose parameter groups keep their ratio to group 0; `momentum(step)` where the
    schedule cycles it (the scheduler then sets it); `averaged(model)` and `update_averaged` where
    it averages weights. Comments carry a summary of the provenance, escaped: nothing that a
    document says becomes code.

    Raises:
        DocumentError: If the provenance is not JSON.
    """
    refuse_tuner(schedule, "torch code")
    peak_of = "learning rate of parameter group 0"
    text = _module(schedule, MATH, "torch", "import math\n\nimport torch", peak_of)
    plainly = "torch.optim.lr_scheduler.LambdaLR"
    cycled = schedule.momentum(0) is not None
    text += _CYCLING if cycled else ""
    text += _SCHEDULER.replace("{scheduler}", "Cycling" if cycled else plainly)
    if schedule.averaging is not None:
        text += "\n" + _AVERAGING.format(
            first=schedule.averaging.first_step(schedule.budget),
            every=schedule.averaging.every,
            decay=schedule.averaging.decay,
        )
    return text


def to_numpy(schedule: Schedule) -> str:
    """Return the source of a module with `learning_rate(step)` for numbers and numpy arrays.

    Raises:
        UnsupportedError: If the schedule averages weights, which numbers cannot say.
        DocumentError: If the provenance is not JSON.
    """
    refuse_averaging(schedule, "numpy")
    refuse_tuner(schedule, "numpy")
    return _module(schedule, NUMPY, "numpy", "import numpy as np", "largest learning rate")


def to_optax(schedule: Schedule) -> str:
    """Return the source of a module whose `learning_rate(step)` is an optax schedule.

    It needs jax only, and works under `jax.jit`. In float32, as jax computes unless told otherwise,
    values are good to about 1e-6 of the peak. Where the schedule cycles momentum, `momentum(step)`
    is the second schedule of
    `optax.inject_hyperparams(optax.sgd)(learning_rate=learning_rate, momentum=momentum)`.

    Raises:
        UnsupportedError: If the schedule averages weights, which no optax schedule does, or if a
            number of it has no place in float32 or int32.
        DocumentError: If the provenance is not JSON.
    """
    refuse_averaging(schedule, "optax")
    refuse_tuner(schedule, "optax")
    _refuse_beyond_single(schedule)
    return _module(schedule, JAX, "jax", "import jax.numpy as jnp", "largest learning rate")


def _refuse_beyond_single(schedule: Schedule) -> None:
    """Do nothing where every number keeps its meaning in jax's single precision."""
    given = {"peak": schedule.peak, "end_value": schedule.end_value, **schedule.parameters}
    numbers = {name: value for name, value in given.items() if isinstance(value, float)}
    for name, value in numbers.items():
        with np.errstate(over="ignore", under="ignore"):
            single = float(np.float32(value))
        legal = math.isfinite(single) and (single != 0.0) == (value != 0.0)
        if legal and name in schedule.parameters:
            try:
                get_family(schedule.family).complete({**schedule.parameters, name: single})
            except InvalidScheduleError:
                legal = False
        if not legal:
            raise UnsupportedError(
                f"optax computes in float32, where {name} = {value!r} becomes {single!r}: "
                "use the formats numpy, torch or csv"
            )
    if schedule.budget >= 2**31:
        raise UnsupportedError(
            f"optax counts steps in int32, which a budget of {schedule.budget} exceeds: "
            "use the formats numpy or torch"
        )


def _comments(schedule: Schedule) -> str:
    parameters = encode(schedule)["parameters"]
    lines = [_comment("Family", schedule.family), _comment("Parameters", parameters)]
    for name, value in sorted(schedule.provenance.items()):  # one text for equal schedules
        lines.append(_comment(f"Provenance {json.dumps(name)}", value))
    return "\n".join(lines)


def _comment(title: str, value: object) -> str:
    """Return one line: JSON in ASCII escapes every kind of line break inside its strings."""
    line = f"# {title}: {json.dumps(plain(value, title), sort_keys=True)}"
    cut = len(line) > _COMMENT_CHARACTERS
    return line[: _COMMENT_CHARACTERS - 3] + "..." if cut else line
