"""Measurements that may fail: what does costs one reading, and is given up after a few."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from lrsearch.curvature._generators import DrawsRandomNumbersError
from lrsearch.curvature._parallel import Ranks
from lrsearch.exceptions import MeasurementError

logger = logging.getLogger("lrsearch")

PATIENCE = 3  # probes in a row that may fail before the watch stops trying

Measure = Callable[[], tuple[dict[str, Any], float]]  # fields of a reading, and their cost


class Attempts:
    """Tries measurements on all ranks together.

    Args:
        ranks: Who measures.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._unable: dict[str, str] = {}
        self._failures: Counter[str] = Counter()

    def __call__(self, what: str, measure: Measure) -> tuple[dict[str, Any], float]:
        """Fields of a measurement and their cost, or a note why there are none."""
        if what in self._unable:
            return {"note": self._unable[what]}, 0.0
        try:
            found = self._ranks.agree(measure)
        except MeasurementError as error:
            note = str(error)
            if not self._failures[what]:
                logger.warning("a reading without its %s: %s.", what, note)
            self._failures[what] += 1
            hopeless = self._ranks.any(isinstance(error, DrawsRandomNumbersError))
            if hopeless or self._failures[what] >= PATIENCE:
                self._unable[what] = note
            return {"note": note}, 0.0
        self._failures[what] = 0
        return found
