"""What every tuner is: an optimizer whose learning rate is chosen anew in each step.

Symbols of this room (those of `torch.optim` and `lrsearch.stability`):

- ``w``   weights; ``g = grad L(w)`` gradient of the current batch's loss
- ``u``   update that the optimizer proposes at learning rate 1, minus sign included
- ``eta`` learning rate of the first parameter group; the others keep their ratios to it, as they
  were when the tuner was built

A tuner takes the place of a scheduler and of ``loss.backward(); optimizer.step()``::

    tuner = CDAT(optimizer, sigma=2.0)
    for batch in loader:
        loss = tuner.step(lambda: loss_fn(model, batch))
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, distributed
from torch.optim import Optimizer

from lrsearch.exceptions import CheckpointError, LrsearchError, UnsupportedError
from lrsearch.stability import Reading
from lrsearch.tuners._gradients import Closure, explained, found_by, loss_of, norm, trained
from lrsearch.tuners._groups import paired, ratios_of, set_rates


class Tuner(ABC):
    """Base of all tuners; a subclass gives `_advance`, and its state where it has any.

    Each step waits for the device a few times: the learning rate is a number on the host.

    Args:
        optimizer: Proposes the updates. The learning rates of its groups are overwritten in each
            step, so no scheduler may act on it; only their ratios at this moment count.

    Raises:
        UnsupportedError: If the first group's learning rate is not positive, or several processes
            train the model.
    """

    kind: ClassVar[str]
    """Name of the tuner, in its state."""

    def __init__(self, optimizer: Optimizer) -> None:
        check_alone()
        self.optimizer = optimizer
        self._ratios = ratios_of(optimizer)
        self._rate = float(optimizer.param_groups[0]["lr"])
        self._steps, self._cost = 0, 0.0
        self._update_norm: float | None = None
        self._reading: Reading | None = None

    @property
    def learning_rate(self) -> float:
        """``eta`` of the last step made; before the first one, the optimizer's own."""
        return self._rate

    @property
    def steps(self) -> int:
        """Calls of `step` so far, those included that made no step."""
        return self._steps

    @property
    def cost(self) -> float:
        """What all steps have cost so far, in gradients; products and losses as measured."""
        return self._cost

    @property
    def reading(self) -> Reading | None:
        """What the last step saw; ``None`` before the first one."""
        return self._reading

    @property
    def cost_per_step(self) -> float:
        """What one step costs, in gradients; of a plain optimizer 1."""
        return 1.0

    def step(self, closure: Closure) -> Tensor:
        """One step at a rate of the tuner's choice; returns the loss before it, without graph.

        Where loss or gradient is not finite no step is made: weights and the optimizer's state stay
        as they are, and ``reading.finite`` is False.

        Args:
            closure: See `Closure`.

        Cost: `cost_per_step` gradients.

        Raises:
            MeasurementError: If the closure does not return a scalar loss with its graph.
            UnsupportedError: If parameter groups were added since the tuner was built.
        """
        paired(self.optimizer, self._ratios)
        with torch.enable_grad():
            loss = self._evaluate(closure)
        value, gradient_norm = float(loss.detach()), None
        if math.isfinite(value):
            self.optimizer.zero_grad(set_to_none=True)
            self._differentiate(loss)
            self._spend(1.0)
            gradient_norm = norm(found_by(self.optimizer))
        finite = gradient_norm is not None and math.isfinite(gradient_norm)
        self._update_norm = None
        fields = self._advance(closure, loss.detach()) if finite else self._failed(value)
        self._steps += 1
        plain: dict[str, Any] = {
            "step": self._steps,
            "learning_rate": self._rate,
            "loss": value if math.isfinite(value) else None,
            "finite": finite,
            "gradient_norm": gradient_norm if finite else None,
            "update_norm": self._update_norm,
            "tuned": True,
            "cost": self._cost,
        }
        self._reading = Reading(**(plain | dict(fields)))
        return loss.detach()

    @abstractmethod
    def _advance(self, closure: Closure, loss: Tensor) -> Mapping[str, Any]:
        """Choose ``eta`` and make the step by `_apply`; gradients are in ``.grad``, and finite.

        Returns:
            Further fields of the reading (``sharpness``, ``slope``, ``threshold``, ``note``), or
            others than the usual.
        """

    def _evaluate(self, closure: Closure) -> Tensor:
        """The closure's loss, with its graph."""
        return loss_of(closure)

    def _failed(self, loss: float) -> Mapping[str, Any]:
        """What to do instead where loss or gradient is not finite; returns fields as `_advance`."""
        return {"note": f"no step: {'gradient' if math.isfinite(loss) else 'loss'} not finite"}

    def _differentiate(self, loss: Tensor) -> None:
        """Fill ``.grad`` of the optimizer's parameters, which is empty; cost: one gradient."""
        with explained():
            loss.backward()  # type: ignore[no-untyped-call]

    def _apply(self, rate: float) -> None:
        """``optimizer.step()`` at the learning rate ``rate`` (first group; others by ratio)."""
        params = trained(self.optimizer)
        before = [p.detach().clone() for p in params]
        set_rates(self.optimizer, rate, self._ratios)
        self.optimizer.step()
        self._rate = rate
        self._update_norm = norm([p.detach() - b for p, b in zip(params, before, strict=True)])

    def _spend(self, gradients: float) -> None:
        """Count what was done, in gradients."""
        self._cost += gradients

    def _settings(self) -> dict[str, Any]:
        """The tuner's arguments, as plain values; a state with others is refused."""
        return {}

    def _state(self) -> dict[str, Any]:
        """What a subclass must remember between steps: plain values and tensors."""
        return {}

    def _load(self, state: Mapping[str, Any]) -> None:
        """Restore `_state`; what is missing or wrong may raise as it likes."""
        if state:
            raise ValueError(f"it remembers {', '.join(state)}")

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint that resumes the tuner bit for bit.

        It is the tuner's own state: save the optimizer's and the model's beside it, as without. To
        resume, build the tuner on a fresh optimizer, then load all three.
        """
        return {
            "kind": self.kind,
            "settings": self._settings(),
            "steps": self._steps,
            "cost": self._cost,
            "learning_rate": self._rate,
            "ratios": list(self._ratios),
            "reading": None if self._reading is None else self._reading.to_dict(),
            "own": self._state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`, also the groups' ratios.

        Raises:
            CheckpointError: If it is not the state of such a tuner with the same arguments.
        """
        try:
            kind, settings = state["kind"], state["settings"]
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"not the state of a tuner ({error!r}): start over.") from error
        if kind != self.kind:
            raise CheckpointError(
                f"the state is of a {kind} tuner and not of {self.kind}: build that one to go on."
            )
        if settings != self._settings():
            raise CheckpointError(
                f"the state is of a {kind} tuner with {settings}, this one has "
                f"{self._settings()}: build it with the same arguments."
            )
        try:
            ratios = [float(r) for r in state["ratios"]]
            if len(ratios) != len(self._ratios):
                raise ValueError(f"{len(ratios)} parameter groups, here {len(self._ratios)}")
            steps, cost = int(state["steps"]), float(state["cost"])
            rate, plain = float(state["learning_rate"]), state["reading"]
            reading = None if plain is None else Reading.from_dict(plain)
            self._load(state["own"])
        except (KeyError, TypeError, ValueError, RuntimeError, LrsearchError) as error:
            raise CheckpointError(
                f"not the state of this {kind} tuner ({error}): start over."
            ) from error
        self._ratios, self._steps, self._cost = ratios, steps, cost
        self._rate, self._reading = rate, reading


def check_alone() -> None:
    """Raise an `UnsupportedError` where several processes train one model.

    Each has a loss of its own: one alone would make no step where its loss is not finite, and leave
    the others waiting for its gradient.
    """
    if distributed.is_available() and distributed.is_initialized():
        ranks = distributed.get_world_size()
        if ranks > 1:
            raise UnsupportedError(
                f"each of the {ranks} ranks would choose a rate by a loss of its own: train in one "
                "process, or with a schedule."
            )
