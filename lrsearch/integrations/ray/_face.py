"""The functions of a user's own training function in Tune: `trial`, `edge`, `watch`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import Watch
from lrsearch.integrations._face import edge as measure_edge
from lrsearch.integrations._face import watch as watch_run
from lrsearch.integrations.optuna import edge_key
from lrsearch.integrations.ray._board import Progress, shared_edge
from lrsearch.integrations.ray._data_parallel import PLACE
from lrsearch.integrations.ray._ranked import RankedTrial
from lrsearch.integrations.ray._trial import RayTrial
from lrsearch.stability import Edge

LossFn = Callable[[nn.Module, Any], Tensor]


def trial(config: Mapping[str, Any], *, resumed_from: int = 0) -> RayTrial:
    """The Tune trial that a training function runs for, for ``space.suggest``, `edge` and `watch`.

    Args:
        config: What Tune gave the training function.
        resumed_from: Optimizer steps of the checkpoint that it goes on from, if it does.
    """
    if PLACE:
        return RankedTrial(config, **PLACE, resumed_from=resumed_from)
    return RayTrial(config, resumed_from=resumed_from)


def edge(
    trial: RayTrial,
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn,
    loader: Iterable[Any],
    *,
    key: Any = (),
    budget: int | None = None,
    share: float | None = None,
) -> Edge:
    """`lrsearch.edge` in a Tune trial: measured by one worker per key, read by all others.

    Args:
        trial: From `lrsearch.ray.trial`.
        model: The model, at its initial weights.
        optimizer: Its optimizer.
        loss_fn: ``loss_fn(model, batch) -> scalar``, the training loss.
        loader: Iterable of training batches (not an iterator).
        key: Plain values that tell apart what has different edges.
        budget: Optimizer steps of a run; by default that of the searcher's space.
        share: What the measurement may cost, as a share of one run; as `lrsearch.edge` by default.

    Raises:
        CalibrationError: If no rate trains the model.

    Cost: as `lrsearch.edge` for one worker; the others wait. Under a searcher of Tune's own every
    trial measures for itself.
    """

    def measure(progress: Progress) -> Edge:
        return measure_edge(
            None,
            model,
            optimizer,
            loss_fn,
            loader,
            budget=budget or trial.own.get("budget"),
            share=share,
            progress=progress,
        )

    return shared_edge(trial, edge_key(key, type(optimizer).__name__), measure)


def watch(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn | None = None,
    *,
    trial: RayTrial,
    budget: int | None = None,
    share: float = 0.02,
    eigenvalues: bool = True,
    validation_loss: Callable[[nn.Module], float] | None = None,
) -> Watch:
    """`lrsearch.watch` in a Tune trial: every reading becomes a result, on which Tune may stop it.

    Args:
        model: The model that is trained.
        optimizer: Its optimizer.
        loss_fn: ``loss_fn(model, batch) -> scalar``, the training loss.
        trial: From `lrsearch.ray.trial`.
        budget: Optimizer steps of the run, where no schedule was suggested.
        share: Share of the run's cost that may go into watching.
        eigenvalues: Whether to read the top of the Hessian's spectrum where the share affords it.
        validation_loss: As in `lrsearch.watch`, by which runs are compared.
    """
    return watch_run(
        model,
        optimizer,
        loss_fn,
        host=trial,
        budget=budget,
        share=share,
        eigenvalues=eigenvalues,
        validation_loss=validation_loss,
    )
