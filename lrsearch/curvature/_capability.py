"""Which ways to take Hessian-vector products work for a loss, tried and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import nn

from lrsearch.curvature._hessian import AUTOMATIC, Hessian
from lrsearch.curvature._objective import LossFn
from lrsearch.exceptions import MeasurementError

WORKS = "works"
AGREEMENT = 0.25  # with finite differences, of v'Hv; a wrong backend is wrong by far more
SYMMETRY = 0.02


@dataclass(frozen=True, slots=True)
class Capability:
    """What was found.

    Attributes:
        method: The first method that works.
        verdicts: Method -> ``"works"``, or why not.
        cost: In gradients.
    """

    method: str
    verdicts: Mapping[str, str]
    cost: float


def probe_methods(model: nn.Module, loss_fn: LossFn, *batches: Any) -> Capability:
    """Try each exact method on two vectors, and check it against gradients.

    A method works if its products are symmetric, ``u'Hv = v'Hu``, and if ``v'Hv`` along the
    gradient agrees with that of finite differences, which need first derivatives only.

    Cost: about 18 gradients where all methods work.

    Raises:
        MeasurementError: If no method works, finite differences included.
    """
    reference = AUTOMATIC[-1]
    with Hessian(model, loss_fn, *batches, method=reference) as hessian:
        v, u = hessian.gradient()[1], hessian.random()
        length = float(v.norm())
        v = v / length if length > 0 else hessian.random(1)
        expected = float(v @ (hessian @ v))
    verdicts, cost = {reference: WORKS}, hessian.cost
    for method in AUTOMATIC[:-1]:
        try:
            with Hessian(model, loss_fn, *batches, method=method) as hessian:
                hv, hu = hessian @ v, hessian @ u
            cost += hessian.cost
        except MeasurementError as error:
            verdicts[method] = str(error)
            continue
        found, crossed, other = float(v @ hv), float(u @ hv), float(v @ hu)
        size = max(float(hv.norm()), float(hu.norm()), 1e-30)
        if abs(crossed - other) > SYMMETRY * size:
            verdicts[method] = f"not symmetric: u'Hv = {crossed:.4g}, v'Hu = {other:.4g}"
        elif abs(found - expected) > AGREEMENT * max(abs(expected), 0.1 * size):
            verdicts[method] = f"v'Hv = {found:.4g}, from gradients {expected:.4g}"
        else:
            verdicts[method] = WORKS
    method = next(m for m in AUTOMATIC if verdicts[m] == WORKS)
    return Capability(method, MappingProxyType(verdicts), cost)
