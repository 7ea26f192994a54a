"""Looks: the validation loss that a run would give if it were annealed now, and what asking costs.

Averaged weights stand in for annealed ones (`_average`). Asked at the same few steps of every run,
they tell which one is behind; see `lrsearch.search`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn

from lrsearch.curvature._average import WeightAverage
from lrsearch.curvature._cost import FORWARD
from lrsearch.curvature._generators import alone, generators_restored
from lrsearch.curvature._guard import quiet
from lrsearch.curvature._parallel import Ranks
from lrsearch.exceptions import MeasurementError
from lrsearch.stability import look_steps

logger = logging.getLogger("lrsearch")

ValidationLoss = Callable[[nn.Module], float]
DEAR = 0.03  # of a run: a look that costs more is the last one


class Looks:
    """Asks for the validation loss of the averaged weights at a run's looks.

    Args:
        validation_loss: ``validation_loss(model) -> float``, positive, small for a good model;
            ``None`` for no looks.
        budget: Optimizer steps of the run, where known; without, there are no looks.
    """

    def __init__(self, validation_loss: ValidationLoss | None, budget: int | None) -> None:
        self.validation_loss = validation_loss
        self.budget = budget
        self.steps = look_steps(budget) if validation_loss is not None else ()

    def due(self, step: int) -> bool:
        """Whether this is a look's step."""
        return step in self.steps

    def read(
        self, model: nn.Module, average: WeightAverage, batch: Any, ranks: Ranks
    ) -> tuple[dict[str, Any], float]:
        """The field of a reading, and its cost in gradients.

        The model is left bit for bit as it was, modes and random generators too (generators not
        where other threads of the process share them).

        Args:
            model: The model.
            average: Its averaged weights.
            batch: A training batch, against which the cost is measured: a forward pass for every
                so many entries that the model is shown, one at least.
            ranks: Over which the loss is averaged.

        Raises:
            MeasurementError: If it fails, or gives no positive number.
        """
        cost = 0.0

        def value() -> float:
            nonlocal cost
            found, entries = self._asked(model, average)
            cost = FORWARD * max(entries / max(_entries(batch), 1), 1.0)
            return found

        loss = ranks.number(value)
        cost = ranks.mean_of(cost) or 0.0  # probes are planned by it: the same on every rank
        if self.budget and cost > DEAR * self.budget:
            self.steps = ()
            logger.warning(
                "validation_loss costs about %.0f gradients, %.0f %% of the run: it is not asked "
                "again; give it fewer batches, and runs can be compared with one another.",
                cost,
                100 * cost / self.budget,
            )
        return {"annealed_validation": loss}, cost

    def _asked(self, model: nn.Module, average: WeightAverage) -> tuple[float, int]:
        assert self.validation_loss is not None
        drawn = generators_restored() if alone() else nullcontext()
        try:
            with quiet(model), drawn, average.swapped_in(), _shown(model) as entries:
                value = float(self.validation_loss(model))
        except Exception as error:  # a user's function may raise anything
            raise MeasurementError(
                f"validation_loss failed ({type(error).__name__}: {error}): pass a function that "
                "takes the model and returns its loss on validation data"
            ) from error
        if not (math.isfinite(value) and value > 0):
            raise MeasurementError(
                f"validation_loss must return a positive loss, small for a good model, got {value}"
            )
        return value, sum(entries)


@contextmanager
def _shown(model: nn.Module) -> Iterator[list[int]]:
    """Context that collects the entries of the first tensor of each forward pass."""
    found: list[int] = []

    def seen(_: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        found.append(_entries((*args, *kwargs.values())))

    handle = model.register_forward_pre_hook(seen, with_kwargs=True)
    try:
        yield found
    finally:
        handle.remove()


def _entries(batch: Any) -> int:
    """Entries of the first tensor in it; 0 where there is none."""
    if isinstance(batch, Tensor):
        return batch.numel()
    if isinstance(batch, Mapping):
        batch = batch.values()
    elif not isinstance(batch, list | tuple):
        return 0
    return next((n for part in batch if (n := _entries(part))), 0)
