"""Part B: are the small rises of phi with eight examples real? In 40 digits.

python studies/gradient_flow_solution/exact.py [--quick] [--out FOLDER]
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from common import fill, parsed
from flows import RISE
from regression import TOP, Ensemble, flow_sharpness, solution, starts

DIGITS = 40
NEWTON = 6
EXAMPLES, NEAR, COUNT = 8, 0.5, 200  # the cell that had them
CHECKED = 3  # rises, of different runs


def exact(at: Ensemble) -> Any:
    """Phi of the first run, by Newton steps in many digits from the double's solution."""
    n, d = at.x.shape[1:]
    x = [[mpmath.mpf(float(v)) for v in row] for row in at.x[0]]
    y, u, v = ([mpmath.mpf(float(v)) for v in row[0]] for row in (at.y, at.u, at.v))
    moved = np.log(solution(at).u[0] / at.u[0]) / 2
    nu = mpmath.matrix(np.linalg.lstsq(at.x[0].T, moved, rcond=None)[0].tolist())
    for _ in range(NEWTON):
        z = [mpmath.e ** (2 * sum(x[k][i] * nu[k] for k in range(n))) for i in range(d)]
        uu, vv = [(u[i] * z[i]) ** 2 for i in range(d)], [(v[i] / z[i]) ** 2 for i in range(d)]
        rest = mpmath.matrix(
            [sum(x[k][i] * (uu[i] - vv[i]) for i in range(d)) - y[k] for k in range(n)]
        )
        gram = mpmath.matrix(n, n)
        for k in range(n):
            for m in range(n):
                gram[k, m] = 4 * sum(x[k][i] * x[m][i] * (uu[i] + vv[i]) for i in range(d))
        nu = nu - mpmath.lu_solve(gram, rest)
    return max(mpmath.eigsy(gram / n, eigvals_only=True))


def rises(steps: int) -> dict[str, Any]:
    """The first rise of each of some runs, in double precision and in many digits."""
    rng = np.random.default_rng([EXAMPLES, round(10 * NEAR)])
    at = starts(EXAMPLES, COUNT, rng, NEAR)
    phi = flow_sharpness(at)
    product = TOP * rng.random(COUNT)
    rate, found = product / phi, {}
    for t in range(steps):
        ahead = at.step(rate)
        now = flow_sharpness(ahead)
        for i in np.flatnonzero(now > phi * (1 + 1e3 * RISE)).tolist():
            if i not in found and len(found) < CHECKED:
                with mpmath.workdps(DIGITS):
                    one, other = (exact(e.only(slice(i, i + 1))) for e in (at, ahead))
                    ratio = float(other / one - 1)
                double = float(now[i] / phi[i] - 1)
                found[i] = {"step": t, "product": float(product[i]), "double": double,
                            "exact": ratio}  # fmt: skip
        if len(found) == CHECKED:
            break
        at, phi = ahead, now
    return {"digits": DIGITS, "rises": list(found.values())}


def main(arguments: list[str] | None = None) -> None:
    options = parsed(__doc__, arguments, "regression")
    fill(options.out / "exact.json.gz", lambda: rises(22 if options.quick else 200))


if __name__ == "__main__":
    main()
