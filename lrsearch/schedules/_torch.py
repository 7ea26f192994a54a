"""A schedule as a torch scheduler. Imported only inside `Schedule.torch`: torch begins here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import finite_number, show, whole_number

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule

_STATE_KEYS = ("schedule", "group_ratios", "last_epoch", "_step_count")


class ScheduleLR(LRScheduler):
    """Sets the learning rates of an optimizer to those of a `Schedule`.

    Parameter group `g` gets

        lr_g(step) = lr_g / lr_0 * schedule(step)

    The learning rates `lr_g` that the optimizer had when the scheduler was built (torch's
    `initial_lr`) count by their ratio only: the peak of the schedule refers to group 0. Call
    `step()` after every `optimizer.step()`; beyond the budget the last value holds. A learning
    rate that is a tensor is filled in place, as torch's own schedulers do.

    The state holds plain numbers, strings and lists, and loads with `weights_only=True`. It names
    its schedule, and only a scheduler of an equal schedule accepts it.

    Attributes:
        schedule: The schedule; no part of the state.
        group_ratios: `lr_g / lr_0`, one per parameter group; dimensionless.

    Raises:
        InvalidScheduleError: If a group has a learning rate that gives no ratio. The optimizer is
            then left as it was.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, schedule: Schedule, last_epoch: int = -1
    ) -> None:
        self.schedule = schedule
        self.group_ratios = _group_ratios(optimizer)
        super().__init__(optimizer, last_epoch)

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
        value = self.schedule(self.last_epoch)
        return [ratio * value for ratio in self.group_ratios]

    def state_dict(self) -> dict[str, Any]:
        """Return the state: the schedule's document without provenance, and plain numbers."""
        return {
            "schedule": _identity(self.schedule),
            "group_ratios": list(self.group_ratios),
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, and set the optimizer's learning rates to those of its step.

        The optimizer's state may be loaded before or after. Should the groups have other ratios
        now, those of the state are restored.

        Raises:
            InvalidScheduleError: If this is the state of another schedule or of another kind of
                scheduler; the message names the field that differs. Nothing is changed then.
        """
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(_STATE_KEYS):
            keys = sorted(map(str, state_dict)) if isinstance(state_dict, Mapping) else state_dict
            raise InvalidScheduleError(
                f"not the state of a ScheduleLR: expected the keys {', '.join(_STATE_KEYS)}, "
                f"got {show(keys)}"
            )
        _refuse_another(state_dict["schedule"], _identity(self.schedule))
        ratios = state_dict["group_ratios"]
        groups = len(self.optimizer.param_groups)
        if not isinstance(ratios, list) or len(ratios) != groups:
            raise InvalidScheduleError(
                f"group_ratios differs: {show(ratios)} in the state, but the optimizer has "
                f"{groups} parameter groups; build it with the same groups"
            )
        group_ratios = [finite_number("group_ratios", ratio) for ratio in ratios]
        last_epoch = whole_number("last_epoch", state_dict["last_epoch"], low=0)
        step_count = whole_number("_step_count", state_dict["_step_count"], low=1)
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


def _identity(schedule: Schedule) -> dict[str, Any]:
    """Return the document without provenance: what makes two schedules equal."""
    document = replace(schedule, provenance={}).to_dict()
    return {name: value for name, value in document.items() if name != "provenance"}


def _refuse_another(state: object, own: dict[str, Any]) -> None:
    if not isinstance(state, Mapping):
        raise InvalidScheduleError(f"schedule in the state is no document: {show(state)}")
    for name in sorted(set(own) | set(state), key=str):
        if name not in own or name not in state or state[name] != own[name]:
            raise InvalidScheduleError(
                f"the state belongs to another schedule: {name} is {show(state.get(name))} in the "
                f"state, {show(own.get(name))} here; build the scheduler from the schedule of "
                "that run"
            )
