"""Which ways to take Hessian-vector products work for a loss, tried and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import nn

from lrsearch.curvature._hessian import AUTOMATIC, Hessian
from lrsearch.curvature._objective import LossFn
from lrsearch.curvature._verify import disagreement
from lrsearch.exceptions import MeasurementError

WORKS = "works"


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

    Cost: about 20 gradients where all methods work.

    Raises:
        MeasurementError: If no method works, finite differences included.
    """
    reference = AUTOMATIC[-1]
    verdicts, cost = {}, 0.0
    with Hessian(model, loss_fn, *batches, method=reference) as hessian:
        v, u = hessian.gradient()[1], hessian.random()
        v = v if v.any() else hessian.random(1)
        expected = hessian @ v
        verdicts[reference] = WORKS if bool(expected.isfinite().all()) else "not finite"
        cost += hessian.cost
    for method in AUTOMATIC[:-1]:
        with Hessian(model, loss_fn, *batches, method=method) as hessian:
            try:
                wrong = disagreement(hessian.__matmul__, lambda _: expected, v, u)
            except MeasurementError as error:
                wrong = str(error)
            verdicts[method] = wrong or WORKS
            cost += hessian.cost
    if WORKS not in verdicts.values():
        reasons = "; ".join(f"{method}: {verdicts[method]}" for method in AUTOMATIC)
        raise MeasurementError(
            f"no Hessian-vector product can be taken of this loss ({reasons}): pass a loss_fn that "
            "has finite second derivatives here"
        )
    method = next(name for name in AUTOMATIC if verdicts[name] == WORKS)
    return Capability(method, MappingProxyType(verdicts), cost)
