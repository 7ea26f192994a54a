"""Seeds of a sweep: every trial and every confirmation run its own, all from one number."""

from __future__ import annotations

import numpy as np


def derived_seed(seed: int, *path: int) -> int:
    """A seed in [0, 2^31) for a place in the sweep, independent of all other places."""
    return int(np.random.SeedSequence([seed, *path]).generate_state(1)[0] % 2**31)


def trial_seed(seed: int, number: int) -> int:
    """Seed of a trial's run."""
    return derived_seed(seed, 0, number)


def confirmation_seed(seed: int, number: int, turn: int) -> int:
    """Seed of a retraining of a trial's schedule; none that any trial has used."""
    return derived_seed(seed, 1, number, turn)


def calibration_seed(seed: int) -> int:
    """Seed of the weights and batches that the edge is measured on."""
    return derived_seed(seed, 2)
