"""Two old tuners, for comparison only: the Polyak step and hypergradient descent.

``u`` is the update that the optimizer proposes at learning rate 1, ``g`` the batch's gradient.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrsearch.tuners import Tuner, proposed
from lrsearch.tuners._gradients import Closure, gradients
from lrsearch.tuners._line import inner


class Polyak(Tuner):
    """``eta = (f - lowest) / (scale * -g'u)``, of the batch's loss (Polyak 1987, 1-D Newton to 0).

    For SGD it is the stochastic Polyak step of Loizou et al. 2021 (2002.10542), whose scale is a
    half. The rate starts at most at the optimizer's own and grows at most by ``growth`` a step, as
    theirs does (they bound the growth over an epoch). Along an update that does not descend it
    stays.

    Args:
        optimizer: Proposes the updates.
        scale: Divides the step.
        lowest: What the loss can reach; 0 where every example can be learnt.
        growth: Largest factor from one rate to the next.
    """

    kind: ClassVar[str] = "Polyak"

    def __init__(
        self, optimizer: Optimizer, *, scale: float = 0.5, lowest: float = 0.0, growth: float = 1.2
    ) -> None:
        super().__init__(optimizer)
        self.scale, self.lowest, self.growth = scale, lowest, growth

    def _advance(self, closure: Closure, loss: Tensor) -> Mapping[str, Any]:
        slope = -inner(gradients(self.optimizer), proposed(self.optimizer, self._ratios))
        highest = self.growth * self._rate if self.steps else self._rate
        excess = max(float(loss) - self.lowest, 0.0)
        wanted = excess / (self.scale * slope) if slope > 0 else self._rate
        self._apply(max(min(wanted, highest), 1e-12))
        return {"slope": max(slope, 0.0)}


class Hypergradient(Tuner):
    """``eta <- eta (1 + beta cos(g, -u_before))``, before the step.

    Baydin et al. 2018 (1703.04782), their multiplicative rule, which has no scale; ``additive``
    is the other one, ``eta <- eta + beta g'(-u_before)``.

    Args:
        optimizer: Proposes the updates; its rate is where the tuner starts.
        beta: Rate of the rate.
        additive: See above.
    """

    kind: ClassVar[str] = "hypergradient"

    def __init__(self, optimizer: Optimizer, *, beta: float = 0.02, additive: bool = False) -> None:
        super().__init__(optimizer)
        self.beta, self.additive = beta, additive
        self._before: list[Tensor] | None = None

    @torch.no_grad()
    def _advance(self, closure: Closure, loss: Tensor) -> Mapping[str, Any]:
        g, u, rate = gradients(self.optimizer), proposed(self.optimizer, self._ratios), self._rate
        if self._before is not None:
            agree = -inner(g, self._before)
            sizes = math.sqrt(inner(g, g) * inner(self._before, self._before))
            if self.additive:
                rate += self.beta * agree
            elif sizes > 0:
                rate *= 1.0 + self.beta * agree / sizes
        self._before = u
        self._apply(max(rate, 1e-12))
        return {}
