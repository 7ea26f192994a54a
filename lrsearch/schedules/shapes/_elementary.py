"""Elementary functions, bit for bit the same for one number and for many; and as code.

They are taken one by one from the C library: numpy's own may differ in the last bit with the
processor and with the length of the array, and `Schedule.values()` must equal `Schedule.__call__`
exactly. (Sums, products, quotients and square roots are correctly rounded everywhere.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lrsearch.schedules._family import FloatArray
from lrsearch.schedules._source import Dialect


def elementwise(function: Callable[[float], float], values: FloatArray) -> FloatArray:
    """Return the function of every value, `(k,) -> (k,)`."""
    return np.fromiter(map(function, values.tolist()), dtype=np.float64, count=len(values))


def sine_squared(fraction: FloatArray) -> FloatArray:
    """Return `sin(pi/2 * fraction)**2` of a fraction in [0, 1], `(k,) -> (k,)`."""
    return np.square(elementwise(math.sin, math.pi / 2 * fraction))


def sine_squared_source(dialect: Dialect, fraction: str) -> str:
    """`sine_squared` as code."""
    return f"{dialect.call('sin', f'{dialect.module}.pi / 2 * ({fraction})')} ** 2"


def geometric(fraction: FloatArray, ratio: float) -> FloatArray:
    """Return the geometric decay `r**(1 - f)`, shifted and stretched to 0 at `f = 0`, 1 at `f = 1`.

    `(r**(1 - f) - r) / (1 - r) = e^(u (f - 1)) expm1(-u f) / expm1(-u)` with `u = -log r`,
    `0 < r < 1`; the second form neither cancels nor overflows.
    """
    rate = -math.log(ratio)
    whole = math.expm1(-rate)
    return elementwise(
        lambda f: math.exp(rate * (f - 1.0)) * (math.expm1(-rate * f) / whole), fraction
    )


def geometric_source(dialect: Dialect, fraction: str, ratio: float) -> list[str]:
    """`geometric` as code: lines, the last of which sets `shape`."""
    rate = -math.log(ratio)
    rest = dialect.call("expm1", f"{-rate!r} * f")
    whole = dialect.call("expm1", repr(-rate))
    return [
        f"f = {fraction}",
        f"shape = {dialect.call('exp', f'{rate!r} * (f - 1.0)')} * ({rest} / {whole})",
    ]


def geometric_mean_factor(ratio: float) -> float:
    """Return the mean of `geometric` over its fraction, `1/u - 1/(e^u - 1)` with `u = -log r`."""
    rate = -math.log(ratio)
    if rate < 1e-3:  # the two terms cancel; the next term of the series is u^3 / 720
        return 1 / 2 - rate / 12
    return 1 / rate - 1 / math.expm1(rate)
