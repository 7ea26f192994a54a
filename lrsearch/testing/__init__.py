"""Importable oracles: problems with known answers and slow, literal references."""

from lrsearch.testing._dense import dense_hessian as dense_hessian
from lrsearch.testing._quadratic import quadratic as quadratic
from lrsearch.testing._scalar import scalar_flow_sharpness as scalar_flow_sharpness
from lrsearch.testing._scalar import scalar_gradient as scalar_gradient
from lrsearch.testing._scalar import scalar_hessian as scalar_hessian
from lrsearch.testing._scalar import scalar_network as scalar_network
from lrsearch.testing._scalar import scalar_solution as scalar_solution

__all__ = [
    "dense_hessian",
    "quadratic",
    "scalar_flow_sharpness",
    "scalar_gradient",
    "scalar_hessian",
    "scalar_network",
    "scalar_solution",
]
