"""Gradient-flow solution: where ``dw/dt = -grad L`` ends, and the sharpness there.

It is the same from every point of one flow, and where the sharpness itself oscillates at the edge
of stability it falls along gradient descent (Kreisler et al. 2023, 2305.13064).

Notation: ``w(t)`` the flow, ``s(t)`` the sharpness along it, read at times ``t_k = 1.5 t_{k-1}``;
``D_k = |w(t_k) - w(t_{k-1})|`` and ``q = D_k / D_{k-1}``, under 1 where the flow comes to an end.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import BDF, RK23, RK45
from torch import Tensor, nn

from lrsearch.curvature._cost import DOUBLE_BACKWARD
from lrsearch.curvature._flow_cost import FlowEstimate, flow_cost
from lrsearch.curvature._guard import copy_, restored
from lrsearch.curvature._hessian import Hessian
from lrsearch.curvature._objective import LossFn, joined
from lrsearch.curvature._sharpness import eigenvalues
from lrsearch.curvature._vector import flatten, unflatten
from lrsearch.exceptions import UnsupportedError

logger = logging.getLogger("lrsearch")
State = NDArray[np.float64]
SOLVERS: dict[str, Any] = {"RK23": RK23, "RK45": RK45, "BDF": BDF}
LOCAL = 1e-3  # error of one step of the integrator, in units of the tolerance
READING = 0.05  # error of one reading of the sharpness, in units of the tolerance
PRODUCTS = 200  # that one reading may take
PACE = 1.5  # ratio of the times of two readings
LEAST = 0.2  # of q: the rest of the way is not taken for less than a quarter of the last D
STILL = 1e-6  # of the loss, relative, between two readings: at rest
SADDLE = 0.1  # negative curvature that a solution does not have, in units of the sharpness


@dataclass(frozen=True, slots=True)
class FlowProgress:
    """Where a flow stands after a step; ``estimated`` is the total of gradients, as foretold."""

    gradients: int
    time: float
    loss: float
    gradient_norm: float
    estimated: int


@dataclass(frozen=True, slots=True)
class FlowSolution:
    """Where a gradient flow ended, or was left.

    Attributes:
        sharpness: Largest eigenvalue of the Hessian there.
        error: Estimated distance from its value at the end of the flow; infinite if not known.
        loss: There.
        gradient_norm: There.
        time: Of the flow, in units of a learning rate times steps.
        gradients: That the integrator took.
        hvps: Products taken, the estimate's among them.
        cost: Of all, in gradients.
        converged: Whether the error is within the tolerance.
        reason: Why it stopped.
        estimate: What had been foretold.
        parameters: The trainable ones there, flat (n,), in double precision on the host.
    """

    sharpness: float
    error: float
    loss: float
    gradient_norm: float
    time: float
    gradients: int
    hvps: int
    cost: float
    converged: bool
    reason: str
    estimate: FlowEstimate = field(repr=False)
    parameters: Tensor = field(repr=False, compare=False)


def gradient_flow(
    model: nn.Module,
    loss_fn: LossFn,
    *batches: Any,
    tolerance: float = 0.01,
    max_gradients: int = 100_000,
    progress: Callable[[FlowProgress], None] | None = None,
    solver: str = "auto",
) -> FlowSolution:
    """Sharpness of the gradient-flow solution: the end of ``dw/dt = -grad L`` from here.

    The state is in double precision on the host, gradients are in the model's own: in single
    they move the result far less than a tolerance does. It stops when what is left of the way,
    ``R = D q / (1 - q)`` (exact where distances shrink geometrically, too long where they shrink
    faster), can change the sharpness by no more than the tolerance, at the larger slope ``|ds| /
    D`` of the last two readings. Not before the loss could be gone by then, ``|g| R >= L``, or
    has come to rest above zero; and not at a saddle point, where curvature is negative. The error
    is an estimate, no bound: it misses modes far slower than all that has been seen.

    Gradient descent may let it fall only, while loss and sharpness go up and down (Kreisler et al.
    2023, 2305.13064; proved for scalar networks, whose solutions `lrsearch.testing` has exactly:
    `scalar_flow_sharpness`).

    Args:
        model: The model, left bit for bit as it was.
        loss_fn: ``loss_fn(model, batch) -> scalar``, with minima: a squared error, not a
            cross-entropy that falls for ever.
        batches: One batch, or several whose mean loss is meant; few examples, that can be fitted.
        tolerance: Largest estimated error of the sharpness, relative.
        max_gradients: Cost at which to stop at the latest, short of a last reading.
        progress: Called with where it stands after each step of the integrator.
        solver: ``"RK23"``, ``"RK45"`` or ``"BDF"`` (implicit; n products for a Jacobian). In
            ``"auto"`` RK23 from some size on: where stability binds the step it takes fewest
            gradients; below, RK45, where accuracy does.

    Cost: about 1.2 gradients per unit of sharpness * time: hundreds for scalar networks, thousands
    for a small MLP; foretold by `flow_cost` and logged.

    Raises:
        MeasurementError: If the loss cannot be evaluated or differentiated, or is not finite at the
            start; never for want of convergence.
        UnsupportedError: If a number makes no sense.
    """
    if max_gradients < 1:
        raise UnsupportedError(f"max_gradients must be at least 1, got {max_gradients!r}.")
    estimate = flow_cost(model, loss_fn, *batches, tolerance=tolerance, solver=solver)
    logger.info(
        "gradient flow: roughly %d gradients by %s, at most %d",
        *(estimate.gradients, estimate.solver, max_gradients),
    )
    flow = _Flow(Hessian(model, loss_fn, *batches), estimate, max_gradients)
    params = [p.data for p in flow.hessian.objective.params]
    with flow.hessian.objective.measuring(), restored(params), np.errstate(all="ignore"):
        return flow.follow(tolerance, progress)


class _SpentError(Exception):
    """There is no gradient left to take."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A point of the flow and what was measured there."""

    w: State
    sharpness: float
    sharpness_error: float
    lowest: float
    loss: float
    norm: float


class _Flow:
    """The equation of motion, and what has been spent on it."""

    def __init__(self, hessian: Hessian, estimate: FlowEstimate, limit: int) -> None:
        self.hessian, self.estimate, self.limit = hessian, estimate, limit
        self.gradients = 0
        self.loss, self.norm = estimate.loss, estimate.gradient_norm

    @property
    def cost(self) -> float:
        """In gradients, without the estimate's."""
        return self.gradients + self.hessian.cost

    def spend(self, gradients: float) -> None:
        if self.cost + gradients > self.limit:
            raise _SpentError

    def move(self, w: State) -> None:
        params = self.hessian.objective.params
        copy_(params, unflatten(torch.from_numpy(w).to(params[0].device), params))

    def velocity(self, _: float, w: State) -> State:
        """``-grad L(w)``; not finite where the loss is not, and then the step is cut."""
        self.spend(1.0)
        self.gradients += 1
        self.move(w)

        objective = self.hessian.objective
        mean = objective.mean(lambda batch: joined(*objective.gradients(batch)))
        both = mean.to("cpu", torch.float64).numpy()
        self.loss, self.norm = float(both[0]), float(np.linalg.norm(both[1:]))
        return -both[1:]

    def jacobian(self, _: float, w: State) -> State:
        """``-H(w)`` (n, n); cost: n products."""
        self.spend(1.0 + DOUBLE_BACKWARD * len(w))
        self.move(w)
        with self.hessian as hessian:
            eye = torch.eye(len(w), dtype=hessian.dtype, device=hessian.device)
            rows = torch.stack([hessian @ unit for unit in eye])
        return -rows.to("cpu", torch.float64).numpy()

    def read(self, w: State, tolerance: float) -> _Reading:
        """Cold: at a symmetric point the last eigenvector may be orthogonal to the new one."""
        self.move(w)
        with self.hessian as hessian:
            loss, gradient = hessian.gradient()
            found = eigenvalues(hessian, tolerance=tolerance * READING, max_hvps=PRODUCTS)
        error, norm = found.errors[0], float(gradient.norm())
        return _Reading(w, found.value, error, found.lowest, loss, norm)

    def follow(
        self, tolerance: float, progress: Callable[[FlowProgress], None] | None
    ) -> FlowSolution:
        """Integrate from the current parameters, reading at ``t_k``, until the end is in sight."""
        guess, time = self.estimate, 0.0
        mark = 1.0 / (max(abs(guess.sharpness), abs(guess.lowest)) or 1.0)
        w = flatten(self.hessian.objective.params).to("cpu", torch.float64).numpy()
        options: dict[str, Any] = {"jac": self.jacobian} if guess.solver == "BDF" else {}
        options["rtol"] = rtol = LOCAL * tolerance
        options["atol"] = rtol * (float(np.sqrt(np.mean(w**2))) or 1.0)
        readings: list[_Reading] = []
        error, converged = math.inf, False
        reason = f"stopped at a cost of {self.limit} gradients, the most it may take"
        try:
            solver = SOLVERS[guess.solver](self.velocity, 0.0, w, math.inf, **options)
            while not converged:
                message = _step(solver)
                if message is not None:
                    reason = f"the integrator failed: {message}"
                    break
                time, w = float(solver.t), solver.y
                if progress is not None:
                    total = max(guess.gradients, self.gradients)
                    progress(FlowProgress(self.gradients, time, self.loss, self.norm, total))
                while mark <= solver.t and not converged:
                    self.spend(1.0)
                    readings = [*readings[-2:], self.read(solver.dense_output()(mark), tolerance)]
                    error, ended = _remaining(readings)
                    converged = ended and error <= tolerance * readings[-1].sharpness
                    if converged:
                        time, reason = mark, f"estimated error within {tolerance:g}"
                    mark *= PACE
        except _SpentError:
            pass
        last = readings[-1] if converged else self.read(w, tolerance)
        return FlowSolution(
            sharpness=last.sharpness,
            error=error,
            loss=last.loss,
            gradient_norm=last.norm,
            time=time,
            gradients=self.gradients,
            hvps=self.hessian.products + guess.hvps,
            cost=self.cost + guess.cost,
            converged=converged,
            reason=reason,
            estimate=guess,
            parameters=torch.from_numpy(last.w.copy()),
        )


def _step(solver: Any) -> str | None:
    """One step; what went wrong, if something did."""
    try:
        message = solver.step()
    except (ValueError, np.linalg.LinAlgError) as error:  # an implicit one, at a loss of NaN
        return str(error)
    return str(message) if solver.status == "failed" else None


def _remaining(readings: list[_Reading]) -> tuple[float, bool]:
    """How much the sharpness may still change, and whether the flow can be at its end at all."""
    if len(readings) < 3:
        return math.inf, False
    a, b, c = readings
    before, after = float(np.linalg.norm(b.w - a.w)), float(np.linalg.norm(c.w - b.w))
    if after == 0.0:
        rest = slope = 0.0
    elif before <= after:  # it gains speed
        return math.inf, False
    else:
        q = max(after / before, LEAST)
        rest = after * q / (1 - q)
        slope = max(abs(b.sharpness - a.sharpness) / before, abs(c.sharpness - b.sharpness) / after)
    gone = c.norm * rest >= c.loss or b.loss - c.loss <= STILL * c.loss
    return slope * rest + c.sharpness_error, gone and c.lowest >= -SADDLE * c.sharpness
