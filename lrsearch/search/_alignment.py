"""Relative optimal peak of a schedule shape: divided out so that one multiplier fits all families.

A schedule that stays high longer wants a lower peak. First version, one formula for every shape:
``alignment = (2 * mean factor) ** -0.4`` with the mean of ``lr / peak`` over the decaying part, 1
for linear and cosine. Equal area under the curve would be the exponent -1; the convex bound
(Schaipp et al. 2025, 2501.18965) asks for 0.88 octaves between linear and WSD with a 20 %
cooldown, the first measurements for 0.34 +- 0.41; -0.4 reproduces the measured 0.34. Provisional:
a recorded table will replace it.
"""

from __future__ import annotations

EXPONENT = -0.4


def alignment(mean_factor: float) -> float:
    """Peak of a shape with this mean, relative to linear decay's (dimensionless)."""
    return float((2.0 * mean_factor) ** EXPONENT)
