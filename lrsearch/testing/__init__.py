"""Importable oracles: problems with known answers and slow, literal references."""

from lrsearch.testing._dense import dense_hessian as dense_hessian
from lrsearch.testing._quadratic import quadratic as quadratic

__all__ = ["dense_hessian", "quadratic"]
