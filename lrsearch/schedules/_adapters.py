"""The ways of a schedule into a framework. Each imports what it needs when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer

    from lrsearch.schedules._schedule import Schedule
    from lrsearch.schedules._torch import ScheduleLR


class Adapters:
    """What `Schedule` can become elsewhere; a part of that class."""

    @property
    def _itself(self) -> Schedule:
        return cast("Schedule", self)

    def torch(
        self, optimizer: Optimizer, last_epoch: int = -1, *, model: Module | None = None
    ) -> ScheduleLR:
        """Return a torch scheduler; call its `step()` after every `optimizer.step()`.

        The peak refers to the first parameter group; the others keep their ratio to it (see
        `ScheduleLR`). Give the model where the schedule averages weights: the scheduler then does
        that too, `scheduler.averaged` is the result.

        Raises:
            InvalidScheduleError: If a group has a learning rate that gives no ratio, or the
                schedule averages weights and there is no model, or it cycles momentum and the
                optimizer has none.
        """
        from lrsearch.schedules._torch import ScheduleLR

        return ScheduleLR(optimizer, self._itself, last_epoch, model=model)

    def lightning(self, optimizer: Optimizer, *, model: Module | None = None) -> dict[str, Any]:
        """Return what `configure_optimizers` of a Lightning module returns.

        Raises:
            InvalidScheduleError: As `torch`.
        """
        scheduler = self.torch(optimizer, model=model)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "frequency": 1},
        }

    def transformers(self, *, approximate: bool = False) -> dict[str, Any]:
        """Return keyword arguments of Hugging Face `TrainingArguments` for the same learning rates.

        Raises:
            UnsupportedError: If that shape does not exist there exactly; the message says what
                to do instead. With `approximate=True` a warm-up that differs by a step passes.
        """
        from lrsearch.schedules._transformers import training_arguments

        return training_arguments(self._itself, approximate=approximate)
