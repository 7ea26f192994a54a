"""What kind of solution a run has found: sharp or flat, robust or not, dense or sparse.

Two schedules that reach the same metric need not reach the same kind of solution (Sadrtdinov et
al. 2024, 2410.22113): the flatter one bears noise and quantisation better, the sparser one is
cheaper to serve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from lrsearch.curvature._activity import Activity
from lrsearch.curvature._cost import FORWARD
from lrsearch.curvature._generators import undrawn
from lrsearch.curvature._guard import copy_, quiet, restored
from lrsearch.curvature._objective import LossFn, Objective
from lrsearch.curvature._parallel import bare
from lrsearch.curvature._sharpness import sharpness
from lrsearch.exceptions import MeasurementError, UnsupportedError
from lrsearch.stability import plain

SIZE = 0.05  # of a tensor's own norm
DRAWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SolutionKind:
    """Where a run has ended. Numbers that could not be had are ``None``.

    Attributes:
        loss: Mean over the batches, in evaluation mode but for batch normalisation.
        sharpness: Largest eigenvalue of the Hessian [1 / learning rate].
        sharpness_error: Its estimated error.
        rise: Mean rise of the loss under random perturbations; infinite where one broke it.
        rise_error: Standard error of that mean over the draws.
        perturbation: Their size, as a share of each tensor's own norm.
        sparsity: Share of activations that are next to zero, mean over the activation modules.
        dead: Share of units that are next to zero on every example.
        layers: Sparsity of every activation module, by name.
        cost: Of all, in gradients of one batch.
        reason: Why a number could not be had, or is not to be trusted.
    """

    loss: float
    sharpness: float | None
    sharpness_error: float | None
    rise: float
    rise_error: float
    perturbation: float
    sparsity: float | None
    dead: float | None
    layers: dict[str, float]
    cost: float
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe form; a number that is not finite is ``None``."""
        return {name: plain(value) for name, value in asdict(self).items()}


def solution_kind(
    model: nn.Module,
    loss_fn: LossFn,
    *batches: Any,
    perturbation: float = SIZE,
    draws: int = DRAWS,
    max_hvps: int = 24,
    seed: int = 0,
) -> SolutionKind:
    """Sharpness, flatness under random perturbation, and sparsity of a trained model.

    ``rise = mean_u L(w + s |w| u) - L(w)`` with ``s`` the perturbation, and ``u`` per trainable
    tensor a random direction of length one, ``|w|`` its norm: the same where layers are rescaled.
    An activation is next to zero under a hundredth of its module's root mean square (so a ReLU's
    zeros count, and the tails of GELU or SiLU), a unit is an entry of the last dimension, or a
    channel where there are four or five.

    Args:
        model: The model, left bit for bit as it was. Of a DDP wrapper the bare module; losses and
            sharpness are means over the ranks, all of which must take part, activations are those
            of each rank's own batches.
        loss_fn: ``loss_fn(model, batch) -> scalar``.
        batches: Of training data, as many as the mean loss needs.
        perturbation: Size of the perturbations, as a share of each tensor's norm. Differences of
            the rise that are under `rise_error` say nothing: take a larger one, or more draws.
        draws: Their number, at least 2.
        max_hvps: Products that the sharpness may take; 0 leaves it out.
        seed: Of the perturbations.

    Raises:
        MeasurementError: If the loss cannot be evaluated.
        UnsupportedError: If a number makes no sense.

    Cost, in gradients of all batches: 0.4 for every draw and one more, and about 15 for the
    sharpness (`sharpness`). The result's ``cost`` is in gradients of one batch.
    """
    if not (math.isfinite(perturbation) and perturbation > 0) or draws < 2 or max_hvps < 0:
        raise UnsupportedError(
            "solution_kind needs perturbation > 0, draws >= 2 and max_hvps >= 0, "
            f"got {perturbation!r}, {draws!r} and {max_hvps!r}"
        )
    objective = Objective(model, loss_fn, batches)
    inner = bare(model)
    with quiet(inner), undrawn():
        with Activity(getattr(inner, "_orig_mod", inner)) as activity:
            level = _mean(objective, activity.begin)
        if not math.isfinite(level):
            raise MeasurementError(f"the loss at the solution is {level}: there is none")
        rises = _rises(objective, level, perturbation, draws, seed)
    finite = all(map(math.isfinite, rises))
    top, error, reason, cost = _sharpness(model, loss_fn, batches, max_hvps, seed)
    layers = activity.sparsity
    return SolutionKind(
        loss=level,
        sharpness=top,
        sharpness_error=error,
        rise=fmean(rises) if finite else math.inf,
        rise_error=stdev(rises) / math.sqrt(draws) if finite else math.inf,
        perturbation=perturbation,
        sparsity=fmean(layers.values()) if layers else None,
        dead=activity.dead,
        layers=layers,
        cost=cost + FORWARD * (draws + 1) * len(batches),
        reason="; ".join(r for r in (reason, "" if layers else "no activation modules") if r),
    )


def _mean(objective: Objective, begin: Callable[[], None] = lambda: None) -> float:
    """Over all batches and ranks."""

    def local() -> float:
        values = []
        for batch in objective.batches:
            begin()
            values.append(float(objective.evaluate(batch)))
        return fmean(values)

    return objective.ranks.number(local)


@torch.no_grad()
def _draw(tensors: Sequence[Tensor], size: float, generator: torch.Generator) -> list[Tensor]:
    found = []
    for t in tensors:
        u = torch.randn(t.shape, generator=generator, dtype=torch.float32)
        length = float(u.norm())
        step = size * float(t.detach().float().norm()) / length if length > 0 else 0.0
        found.append((step * u).to(t.device, t.dtype))
    return found


def _rises(objective: Objective, level: float, size: float, draws: int, seed: int) -> list[float]:
    """Of the loss, at every draw; the parameters are put back bit for bit."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(draws):
        with _moved(objective.params, _draw(objective.params, size, generator)):
            found.append(_mean(objective) - level)
    return found


@contextmanager
def _moved(params: list[Tensor], steps: list[Tensor]) -> Iterator[None]:
    with restored(params) as own:
        copy_(params, [w + u for w, u in zip(own, steps, strict=True)])
        yield


def _sharpness(
    model: nn.Module, loss_fn: LossFn, batches: Sequence[Any], max_hvps: int, seed: int
) -> tuple[float | None, float | None, str, float]:
    if max_hvps == 0:
        return None, None, "", 0.0
    try:
        found = sharpness(model, loss_fn, *batches, max_hvps=max_hvps, seed=seed)
    except MeasurementError as error:
        return None, None, f"no sharpness: {error}", 0.0
    if not math.isfinite(found.value):
        return None, None, f"no sharpness: {found.reason}", found.cost * len(batches)
    reason = "" if found.converged else f"sharpness: {found.reason}"
    return found.value, found.errors[0], reason, found.cost * len(batches)
