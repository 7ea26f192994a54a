"""The two functions of a user's own loop: `edge` and `watch`, for a trial or for none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import Ranks, Watch, calibrate, hold, proxy_steps
from lrsearch.exceptions import UnsupportedError
from lrsearch.stability import Edge, Host

T = TypeVar("T")
LossFn = Callable[[nn.Module, Any], Tensor]
DEFAULT_BUDGET = 1_000
_ONE_AT_A_TIME = threading.Lock()


def edge(
    trial: Any,
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn,
    loader: Iterable[Any],
    *,
    key: Any = (),
    budget: int | None = None,
    share: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Edge:
    """The edge learning rate of a model and its optimizer: measured once per key, then remembered.

    Model, optimizer and random generators are put back as they were. Within a study the first trial
    with a key measures, the others read the result; ``key`` holds whatever changes the edge (width,
    batch size, ...).

    Several ranks all call it, and get the same edge. Under DDP all measure together, each on the
    batches of its own loader: it is the edge of the whole batch. Ranks of `lrsearch.optimize` with
    a model of another kind wait while the first measures on its own batches. A study is asked, and
    told, by the first rank; what it knows nobody measures.

    Args:
        trial: The Optuna trial, or ``None`` to measure without a study; under DDP without
            `lrsearch.optimize` only the first rank's trial counts.
        model: The model, at its initial weights.
        optimizer: Its optimizer.
        loss_fn: ``loss_fn(model, batch) -> scalar``, the training loss.
        loader: Iterable of training batches (not an iterator).
        key: Plain values that tell apart what has different edges.
        budget: Optimizer steps of a run; by default that of the study's space, else 1,000.
        share: What the measurement may cost, as a share of one run; a rule of thumb, the true cost
            stands in the result. By default a fifth, but annealed runs of at least 40 steps.
        progress: Told one line for every annealed run.

    Raises:
        CalibrationError: If no rate trains the model.
        MeasurementError: If the measurement fails on some ranks only.
        UnsupportedError: If the parameters are sharded over ranks.

    Cost: ``share * budget`` gradients the first time where the usual rate is near, up to twice
    that elsewhere (an annealed run has 20 to 80 steps, by default 40 to 80: short budgets pay more,
    long ones less); later nothing.
    """
    from lrsearch.integrations.optuna import (
        EdgeSampler,
        RankTrial,
        edge_key,
        store_edge,
        stored_edge,
    )

    ranks = Ranks.of(model)
    study = getattr(trial, "study", None)
    name = edge_key(key, type(optimizer).__name__)
    if any(hasattr(p, "device_mesh") for p in model.parameters()):
        raise UnsupportedError(
            "the parameters are sharded (FSDP or tensor parallel) and no edge can be measured: "
            "give a rate that trains, lrsearch.Edge.known(0.1), or measure on an unsharded copy."
        )

    def by_first(decide: Callable[[], T]) -> T:
        if isinstance(trial, RankTrial):
            return trial.first(name, decide)
        return ranks.decided_by_first(decide)

    def known() -> tuple[Edge | None, int]:
        found = None if study is None else stored_edge(study, name)
        steps = budget
        if study is not None and steps is None and isinstance(study.sampler, EdgeSampler):
            steps = study.sampler.space.budget
        return found, proxy_steps(steps or DEFAULT_BUDGET, share)

    def measured() -> Edge:
        batches, fresh = hold(loader, steps, ranks)
        return calibrate(model, optimizer, loss_fn, batches, fresh, steps=steps, progress=progress)

    with _ONE_AT_A_TIME:  # threads of one study share the edge, and the generators put back
        found, steps = by_first(known)
        if found is not None:
            return found
        found = measured() if ranks.count > 1 else by_first(measured)
        return by_first(lambda: found if study is None else store_edge(study, name, found))


def watch(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn | None = None,
    *,
    host: Any = None,
    budget: int | None = None,
    share: float = 0.02,
    eigenvalues: bool = True,
    validation_loss: Callable[[nn.Module], float] | None = None,
) -> Watch:
    """Watch one training run; see `lrsearch.curvature.Watch` for what it measures and costs.

    Args:
        model: The model that is trained.
        optimizer: Its optimizer.
        loss_fn: ``loss_fn(model, batch) -> scalar``, the training loss.
        host: An Optuna trial, any `lrsearch.stability.Host`, or ``None`` for a run on its own.
        budget: Optimizer steps of the run, where the host does not know it.
        share: Share of the run's cost that may go into watching.
        eigenvalues: Whether to read the top of the Hessian's spectrum where the share affords it.
        validation_loss: ``validation_loss(model) -> float``, positive, small for a good model. With
            it a `StabilityPruner` also stops runs that are behind the best one: it is asked four
            times a run, of the averaged weights, and its cost comes on top of ``share``.

    Under DDP give the wrapped model on every rank and the trial on the first: it decides for all.
    Where it stops the run, the others raise `lrsearch.exceptions.RunStopped`; with a host of their
    own (the trial of `lrsearch.optimize`, say) they stop as that does.

    Raises:
        UnsupportedError: If ``host`` is none of these.
    """
    if host is not None and not isinstance(host, Host):
        if not (hasattr(host, "set_user_attr") and hasattr(host, "user_attrs")):
            raise UnsupportedError(
                f"host must be an Optuna trial, a lrsearch.stability.Host or None, got {host!r}."
            )
        from lrsearch.integrations.optuna import OptunaHost

        host = OptunaHost(host)
    return Watch(
        model,
        optimizer,
        loss_fn,
        host=host,
        budget=budget,
        share=share,
        eigenvalues=eigenvalues,
        validation_loss=validation_loss,
    )
