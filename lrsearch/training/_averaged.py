"""Averaged weights as the model to keep: its batch normalisation sees some batches again.

Statistics of batch normalisation belong to the weights before it, and a mean of weights has none of
its own: those of the last weights are wrong for it, often by far[^1].

[^1]: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson, "Averaging Weights Leads to Wider Optima and
    Better Generalization", UAI 2018, arXiv 1803.05407, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lrsearch.exceptions import TaskError
from lrsearch.training._rng import rng_state, set_rng_state

if TYPE_CHECKING:
    from lrsearch.schedules._torch import ScheduleLR

LEAST, MOST = 10, 100  # batches, between which it is a tenth of the run


def batches_shown(budget: int) -> int:
    """How many training batches the averaged weights of a run are shown; 10 to 100."""
    return min(max(budget // 10, LEAST), MOST)


def averaged_model(
    model: nn.Module,
    scheduler: ScheduleLR,
    loss_fn: Callable[[nn.Module, Any], Any],
    batches: Iterable[Any],
) -> nn.Module:
    """The model to evaluate and to keep when a run has ended, whatever its schedule.

    Where the schedule averages weights, a model of the same class with the mean, whose batch
    normalisation has seen a tenth of the run's steps in batches (`update_batchnorm`), but 10 at
    least and 100 at most; otherwise, and before the mean has begun, ``model`` itself.

    Args:
        model: The model that was trained.
        scheduler: Its scheduler, `Schedule.torch(optimizer, model=model)`.
        loss_fn: ``loss_fn(model, batch)``, the training loss.
        batches: Training batches; a loader, for example.

    Raises:
        TaskError: If there are no batches, and batch normalisation needs some.

    Cost: 0.4 gradients a batch shown; none without batch normalisation.
    """
    return settled(model, scheduler, loss_fn, batches)[0]


def settled(
    model: nn.Module,
    scheduler: ScheduleLR | None,
    loss_fn: Callable[[nn.Module, Any], Any],
    batches: Iterable[Any],
) -> tuple[nn.Module, int]:
    """`averaged_model`, and how many batches it was shown."""
    if scheduler is None or scheduler.averaged is None or not int(scheduler.averaged.n_averaged):
        return model, 0
    averaged: nn.Module = scheduler.averaged.module
    return averaged, update_batchnorm(
        averaged, loss_fn, islice(batches, batches_shown(scheduler.schedule.budget))
    )


def update_batchnorm(
    model: nn.Module, loss_fn: Callable[[nn.Module, Any], Any], batches: Iterable[Any]
) -> int:
    """Compute the statistics of batch normalisation anew, as the mean over batches that counts all.

    As `torch.optim.swa_utils.update_bn`, for models that need more than one input: the forward pass
    is that of the loss, in training mode. Layers that stay in evaluation mode under `model.train()`
    (frozen ones) are left alone, and so are gradients, modes and global random generators.

    Args:
        model: Changed in place.
        loss_fn: ``loss_fn(model, batch)``, whose value is of no interest.
        batches: All of them are used.

    Returns:
        How many batches there were; 0, and none is read, without batch normalisation.

    Raises:
        TaskError: If there are no batches; the statistics are left as they were.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and _tracks(m)]
    momenta = [norm.momentum for norm in norms]
    drawn = rng_state() if norms else None
    seen = 0
    try:
        for batch in batches if norms else ():
            if not seen:
                for norm in norms:
                    norm.reset_running_stats()
                    norm.momentum = None  # the mean over all that came
            loss_fn(model, batch)
            seen += 1
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
        if drawn is not None:
            set_rng_state(drawn)
    if norms and not seen:
        raise TaskError(
            "there is no batch to compute the statistics of batch normalisation from: give a "
            "loader, or a fresh iterator"
        )
    return seen


def _tracks(norm: _BatchNorm) -> bool:
    return norm.running_mean is not None
