"""What the final loss is believed to be over shapes and rates: a Gaussian process in edge units.

With `u` the octaves of the multiplier and `s` the shape, the log loss over the best one is

    y = q u^2 + belief(s) + q g(u, s) + noise,
    cov g = flat + 4 SPREAD^2 u u' + SHARED^2 m(u - u')
            + k(s, s') (OFFSET^2 + 4 MISALIGNED^2 u u' + OWN^2 m(u - u')),

that is a basin around the edge whose bottom, curvature, level and form are uncertain, and the same
of every shape by itself. `m` is Matern 5/2 over a length of one octave, `k` the kernel of
`_shapes`. Another study has a level of its own, and has all else in common with this one but for a
share (1 - ALIKE) of its variance. Curvature `q` and noise are averaged over, by their marginal
likelihood (Rasmussen and Williams 2006, ch. 5.2). Losses far from the best one are squashed and
count with noise in proportion, for no basin is a parabola.

The constants are rounded guesses, tried on the development tables of studies/search_efficiency
alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dtrtrs

Array = NDArray[np.float64]

SPREAD = 0.9  # octaves that the edge is off by (root mean square, development tasks: 0.93)
CURVATURE, CURVATURE_LOG_SPREAD = 0.03, 0.7  # of the log loss, per octave squared
NOISE_RATIO = (0.17, 0.33, 0.67)  # deviation of a run, over the curvature
GRID = (
    -3.0,
    -2.0,
    -1.0,
    0.0,
    1.0,
    2.0,
    3.0,
    4.0,
)  # of the curvature, in deviations of its logarithm
OFFSET, MISALIGNED = 0.4, 0.4  # of a shape: its level over the curvature, its octaves
SHARED, OWN = 0.5, 0.3  # what is no parabola, over the curvature: of all shapes, of each
FLAT = 1e3  # variance of the level: it is not known
# Of the variance, what two studies have in common. Best multipliers vary by 0.9 octaves over all
# tasks; they differ by 0.5 to 1.0 between tasks 16 times apart in width or batch (0.85 to 0.4 in
# common), by one and more between budgets 8 times apart (studies/edge_calibration).
ALIKE = 0.6
SQUASH = 0.5  # log loss above which differences shrink
DISTRUST = 0.1  # noise in proportion to the loss over the best
LEAST_WEIGHT = 0.01  # of a curvature and noise that are still averaged over


@dataclass(frozen=True, slots=True)
class Points:
    """Where the process is known or asked for.

    Attributes:
        octaves: log2 of the multiplier, (n,).
        places: Shapes, (n, d).
        beliefs: What they are believed to lose, (n,).
        studies: Which study each is of, (n,); 0 for the one that is searched.
    """

    octaves: Array
    places: Array
    beliefs: Array
    studies: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.octaves)

    def chosen(self, which: NDArray[np.intp]) -> Points:
        """Some of them."""
        return Points(
            self.octaves[which], self.places[which], self.beliefs[which], self.studies[which]
        )

    def joined(self, other: Points) -> Points:
        """These, then the other ones."""
        return Points(
            np.concatenate([self.octaves, other.octaves]),
            np.concatenate([self.places, other.places]),
            np.concatenate([self.beliefs, other.beliefs]),
            np.concatenate([self.studies, other.studies]),
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """The process under one curvature and noise."""

    curvature: float
    root: Array
    rest: Array


class Surrogate:
    """The process, given losses.

    Args:
        points: Where they were seen, n >= 1.
        losses: Log losses (n,); their level does not matter, nor that of each study.
        deviations: Further deviation of each (n,), beside the noise of a run.

    Cost: 24 Cholesky factors of (n, n); no gradients.
    """

    def __init__(self, points: Points, losses: Array, deviations: Array) -> None:
        over = losses.copy()
        for study in np.unique(points.studies):
            own = points.studies == study
            over[own] -= losses[own].min()
        over = SQUASH * np.arcsinh(over / SQUASH)
        plain = _kernel(points, points)
        found: list[tuple[float, _Part]] = []
        for step in GRID:
            q = CURVATURE * float(np.exp(CURVATURE_LOG_SPREAD * step))
            left = over - q * points.octaves**2 - points.beliefs
            for ratio in NOISE_RATIO:
                noise = (q * ratio) ** 2 + (DISTRUST * over) ** 2 + deviations**2
                root = _factor(q * q * plain + np.diag(noise))
                rest = _solved(root, left)
                score = -(rest @ rest) / 2 - np.log(np.diag(root)).sum() - step * step / 2
                found.append((float(score), _Part(q, root, rest)))
        scores = np.array([score for score, _ in found])
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        kept = weights >= LEAST_WEIGHT
        self.weights: Array = weights[kept] / weights[kept].sum()
        self._parts = [part for (_, part), keep in zip(found, kept, strict=True) if keep]
        self._points = points

    def predict(self, at: Points) -> tuple[Array, Array]:
        """Means and deviations of the expected loss of a run, (parts, n) each.

        They belong to `weights`, and count from the least loss seen.
        """
        across = _kernel(self._points, at)
        own = _variance(at)
        means, deviations = [], []
        for part in self._parts:
            q = part.curvature
            seen = _solved(part.root, q * q * across)
            means.append(q * at.octaves**2 + at.beliefs + seen.T @ part.rest)
            left = np.maximum(q * q * own - (seen**2).sum(axis=0), 1e-16)
            deviations.append(np.sqrt(left))
        return np.array(means), np.array(deviations)

    def draw(self, at: Points, rng: np.random.Generator, count: int) -> Array:
        """Draws of the expected losses, (count, n), which vary together."""
        across, own = _kernel(self._points, at), _kernel(at, at)
        found = []
        for part, share in zip(self._parts, rng.multinomial(count, self.weights), strict=True):
            if share == 0:
                continue
            q = part.curvature
            seen = _solved(part.root, q * q * across)
            mean = q * at.octaves**2 + at.beliefs + seen.T @ part.rest
            left = q * q * own - seen.T @ seen
            # A trillionth of the level's own variance: what rounding leaves of it.
            root = _factor(left + 1e-12 * q * q * FLAT * np.eye(len(at)))
            found.append(mean + rng.standard_normal((share, len(at))) @ root.T)
        return np.concatenate(found)

    def mean(self, at: Points) -> Array:
        """Expected loss of a run, (n,), from the least loss seen."""
        means, _ = self.predict(at)
        return np.asarray(self.weights @ means)


def unsquashed(losses: Array) -> Array:
    """Losses of the process as log losses again, over the least one seen."""
    return np.asarray(SQUASH * np.sinh(losses / SQUASH))


def prior_mean(at: Points) -> Array:
    """What is expected of a run before the first trial, (n,)."""
    return np.asarray(CURVATURE * at.octaves**2 + at.beliefs)


def _kernel(a: Points, b: Points) -> Array:
    product = np.multiply.outer(a.octaves, b.octaves)
    distance = np.sqrt(5.0) * np.abs(np.subtract.outer(a.octaves, b.octaves))
    matern = (1 + distance + distance**2 / 3) * np.exp(-distance)
    squares = (a.places**2).sum(axis=1)[:, None] + (b.places**2).sum(axis=1)
    near = np.exp(-np.maximum(squares - 2 * a.places @ b.places.T, 0.0) / 2)
    shared = 4 * SPREAD**2 * product + SHARED**2 * matern
    own = OFFSET**2 + 4 * MISALIGNED**2 * product + OWN**2 * matern
    same = a.studies[:, None] == b.studies
    return np.asarray(FLAT * same + np.where(same, 1.0, ALIKE) * (shared + near * own))


def _variance(a: Points) -> Array:
    """Diagonal of the kernel."""
    linear = 4 * (SPREAD**2 + MISALIGNED**2) * a.octaves**2
    return FLAT + SHARED**2 + OFFSET**2 + OWN**2 + linear


def _factor(matrix: Array) -> Array:
    """Lower Cholesky factor, (n, n).

    Not by `scipy.linalg.cholesky`: there are two dozen in a suggestion, and its checks cost more.

    Raises:
        LinAlgError: If the matrix is not positive definite.
    """
    root, info = dpotrf(matrix, lower=1, clean=1)
    if info:
        raise np.linalg.LinAlgError(f"not positive definite: minor {info} of {len(matrix)}")
    return np.asarray(root)


def _solved(root: Array, right: Array) -> Array:
    """``x`` of ``root x = right``, (n,) or (n, k); the factor is lower triangular.

    Raises:
        LinAlgError: If the factor is singular.
    """
    found, info = dtrtrs(root, right, lower=1)
    if info:
        raise np.linalg.LinAlgError(f"singular: element {info} of the factor's diagonal is zero")
    return np.asarray(found)
