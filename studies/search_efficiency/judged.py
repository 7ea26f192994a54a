"""A task with a test split besides: what a recorded run is judged by, and no search sees."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from lrsearch.training import Task


@dataclass(frozen=True)
class Judged(Task):
    """A `Task` whose ``test(model)`` measures the same metric on a split of its own.

    A plain `Task` can be recorded as well; its table then has no test column, and its truth rests
    on held-out seeds alone.
    """

    test: Callable[[nn.Module], float] | None = None
