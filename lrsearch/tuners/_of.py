"""The tuner that a schedule of a tuner family stands for."""

from __future__ import annotations

from torch.optim import Optimizer

from lrsearch.exceptions import UnsupportedError
from lrsearch.schedules import Schedule, tuner_families
from lrsearch.tuners._cdat import CDAT
from lrsearch.tuners._clara import CLARA
from lrsearch.tuners._groups import ratios_of, set_rates
from lrsearch.tuners._tuner import Tuner


def tuner_of(schedule: Schedule, optimizer: Optimizer) -> Tuner:
    """The tuner of a schedule whose family is one, such as "cdat" or "clara".

    The optimizer's first group begins at the schedule's peak, the others keep their ratios to it.

    Args:
        schedule: As ``ScheduleSpace.suggest`` gives it where tuners are among the families.
        optimizer: Whose learning rates it will set.

    Raises:
        UnsupportedError: If a plan sets the rate, or the tuner cannot work with the optimizer.
    """
    if not schedule.tuned:
        raise UnsupportedError(
            f"{schedule.family!r} is no tuner (these are: {', '.join(tuner_families())}): use "
            "schedule.torch(optimizer)."
        )
    set_rates(optimizer, schedule.peak, ratios_of(optimizer))
    values = schedule.parameters
    if schedule.family == "cdat":
        return CDAT(optimizer, **values)
    return CLARA(optimizer, **values)
