"""A schedule as a torch scheduler. Imported only inside `Schedule.torch`: torch begins here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import finite_number, show, whole_number
from lrsearch.schedules._continuation import identity, refuse_another
from lrsearch.schedules._refuse_averaging import without_averaging
from lrsearch.schedules._refuse_tuner import refuse_tuner
from lrsearch.schedules._schedule import Schedule

_STATE_KEYS = ("schedule", "group_ratios", "last_epoch", "_step_count")
_AVERAGED = "averaged"


class ScheduleLR(LRScheduler):
    """Sets the learning rates of an optimizer to those of a `Schedule`.

    Parameter group `g` gets

        lr_g(step) = lr_g / lr_0 * schedule(step)

    The learning rates `lr_g` that the optimizer had when the scheduler was built (torch's
    `initial_lr`) count by their ratio only: the peak of the schedule refers to group 0. Call
    `step()` after every `optimizer.step()`; beyond the budget the last value holds. A learning
    rate that is a tensor is filled in place, as torch's own schedulers do.

    A schedule that cycles momentum sets it in every group: `momentum`, or the first of `betas`. One
    that averages weights needs the model; `averaged` is then torch's `AveragedModel` of it, whose
    batch normalisation statistics are those of the last weights: `lrsearch.training.averaged_model`
    (or `torch.optim.swa_utils.update_bn`) computes them anew.

    The state holds plain numbers, strings and lists (and the averaged weights, where there are),
    and loads with `weights_only=True`. It names its schedule. Only a scheduler of an equal schedule
    accepts it, or one that continues it: same learning rates up to here, and so far nothing that
    depends on the old budget (`Schedule.extend`, `lrsearch.theory.lower_second_stage`).

    Attributes:
        schedule: The schedule; no part of the state.
        group_ratios: `lr_g / lr_0`, one per parameter group; dimensionless.
        averaged: The averaged model; `None` where the schedule does not average.

    Raises:
        InvalidScheduleError: If a group has a learning rate that gives no ratio or no momentum to
            cycle, or the schedule averages and there is no model. The optimizer is then left as
            it was.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        last_epoch: int = -1,
        *,
        model: torch.nn.Module | None = None,
    ) -> None:
        refuse_tuner(schedule, "a torch scheduler")
        self.schedule = schedule
        self.group_ratios = _group_ratios(optimizer)
        if schedule.momentum(0) is not None:
            _refuse_without_momentum(optimizer)
        if schedule.averaging and last_epoch > schedule.averaging.first_step(schedule.budget):
            raise InvalidScheduleError(
                f"last_epoch = {last_epoch} lies within the averaging phase, whose mean only a "
                "state holds: resume with load_state_dict"
            )
        self._model = model
        self.averaged = _averaged_model(schedule, model)
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        """Set the learning rates of the next update, and average the weights after the last."""
        super().step(epoch)
        averaging = self.schedule.averaging
        if averaging is None or self.averaged is None or self._model is None:
            return
        if averaging.counts(self.last_epoch - 1, self.schedule.budget):
            self.averaged.update_parameters(self._model)

    def get_lr(self) -> list[float | torch.Tensor]:
        """Return the learning rates of all groups at the current step.

        Raises:
            InvalidScheduleError: If parameter groups have come or gone since the scheduler was
                built.
        """
        groups = len(self.optimizer.param_groups)
        if groups != len(self.group_ratios):
            raise InvalidScheduleError(
                f"the optimizer has {groups} parameter groups, the scheduler was built for "
                f"{len(self.group_ratios)}; build it again after add_param_group"
            )
        momentum = self.schedule.momentum(self.last_epoch)
        if momentum is not None:
            for group in self.optimizer.param_groups:
                _set_momentum(group, momentum)
        value = self.schedule(self.last_epoch)
        return [ratio * value for ratio in self.group_ratios]

    def state_dict(self) -> dict[str, Any]:
        """Return the state: the schedule's document without provenance, and plain numbers."""
        state = {
            "schedule": identity(self.schedule),
            "group_ratios": list(self.group_ratios),
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
        }
        return state if self.averaged is None else {**state, _AVERAGED: self.averaged.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, and set the optimizer's learning rates to those of its step.

        Load the optimizer's state first: it brings the learning rate of its own schedule, which
        differs where this one continues another. Should the groups have other ratios now, those
        of the state are restored.

        Raises:
            InvalidScheduleError: If this is the state of another schedule or of another kind of
                scheduler; the message names the field that differs. Nothing is changed then.
        """
        if not isinstance(state_dict, Mapping) or set(state_dict) - {_AVERAGED} != set(_STATE_KEYS):
            keys = sorted(map(str, state_dict)) if isinstance(state_dict, Mapping) else state_dict
            raise InvalidScheduleError(
                f"not the state of a ScheduleLR: expected the keys {', '.join(_STATE_KEYS)}, "
                f"got {show(keys)}"
            )
        last_epoch = whole_number("last_epoch", state_dict["last_epoch"], low=0)
        step_count = whole_number("_step_count", state_dict["_step_count"], low=1)
        refuse_another(state_dict["schedule"], self.schedule, last_epoch)
        ratios = state_dict["group_ratios"]
        groups = len(self.optimizer.param_groups)
        if not isinstance(ratios, list) or len(ratios) != groups:
            raise InvalidScheduleError(
                f"group_ratios differs: {show(ratios)} in the state, but the optimizer has "
                f"{groups} parameter groups; build it with the same groups"
            )
        group_ratios = [finite_number("group_ratios", ratio) for ratio in ratios]
        if min(group_ratios) < 0.0:
            raise InvalidScheduleError(f"group_ratios must be >= 0, got {show(ratios)}")
        if self.averaged is not None:
            # A run that this one continues had not begun to average, and may have no mean.
            averaging = self.schedule.averaging
            begun = averaging and last_epoch > averaging.first_step(self.schedule.budget)
            mean: Any = state_dict.get(_AVERAGED, None if begun else self.averaged.state_dict())
            _refuse_other_weights(mean, self.averaged)
            self.averaged.load_state_dict(mean)
        self.group_ratios, self.last_epoch, self._step_count = group_ratios, last_epoch, step_count
        for group, value in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value
        self._last_lr = [
            group["lr"].clone() if isinstance(group["lr"], torch.Tensor) else group["lr"]
            for group in self.optimizer.param_groups
        ]


def _group_ratios(optimizer: torch.optim.Optimizer) -> list[float]:
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not a torch optimizer")
    rates = []
    for index, group in enumerate(optimizer.param_groups):
        rate = group.get("initial_lr", group["lr"])
        plain = rate.item() if isinstance(rate, torch.Tensor) else rate
        number = finite_number(f"learning rate of parameter group {index}", plain)
        if number < 0.0 or (index == 0 and number == 0.0):
            raise InvalidScheduleError(
                f"learning rate of parameter group {index} is {number}, which gives no ratio; "
                "build the optimizer with lr > 0 (group 0 is the reference of the others, "
                "any positive number will do)"
            )
        rates.append(number)
    return [rate / rates[0] for rate in rates]


def _refuse_without_momentum(optimizer: torch.optim.Optimizer) -> None:
    for index, group in enumerate(optimizer.param_groups):
        kept = group.get("momentum") or optimizer.defaults.get("momentum")
        if "betas" not in group and not kept:
            raise InvalidScheduleError(
                f"this schedule cycles momentum, and parameter group {index} of "
                f"{type(optimizer).__name__} has none; build the optimizer with momentum, or the "
                "schedule with the parameter momentum='kept'"
            )


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    """Set it where the optimizer keeps it; a tensor is filled in place."""
    if "betas" not in group:
        group["momentum"] = momentum
    elif isinstance(group["betas"][0], torch.Tensor):
        group["betas"][0].fill_(momentum)
    else:
        group["betas"] = (momentum, *group["betas"][1:])


def _averaged_model(schedule: Schedule, model: torch.nn.Module | None) -> AveragedModel | None:
    averaging = schedule.averaging
    if averaging is None:
        return None
    if model is None:
        first = averaging.first_step(schedule.budget)
        raise InvalidScheduleError(
            f"this schedule averages weights from update {first} on, for which an optimizer is "
            "not enough: pass model=, and take scheduler.averaged as the result; or train without "
            f"it: {without_averaging(schedule)}"
        )
    if averaging.decay is None:
        return AveragedModel(model)
    mean = get_ema_avg_fn(averaging.decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, avg_fn=mean)


def _refuse_other_weights(state: object, averaged: AveragedModel) -> None:
    """Do nothing where the state fits; torch itself would load what fits and then complain."""
    own = averaged.state_dict()
    given = state if isinstance(state, Mapping) else {}
    wrong = [
        name
        for name in sorted({*own, *given}, key=str)
        if getattr(given.get(name), "shape", None) != getattr(own.get(name), "shape", None)
    ]
    if not isinstance(state, Mapping) or wrong:
        raise InvalidScheduleError(
            "the averaged weights in the state are missing or those of another model: "
            f"{show(wrong[:3])} differ; build the scheduler with the model of that run"
        )
