"""Records as the surrogate takes them: the ones that tell most, as points, losses and peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrsearch.search._cliff import Cliff
from lrsearch.search._finished import NOTHING, Earlier
from lrsearch.search._kinds import Kinds
from lrsearch.search._levels import levels
from lrsearch.search._locate import Located, Locator
from lrsearch.search._records import TrialRecord, ranked
from lrsearch.search._surrogate import Array, Points, Surrogate, prior_mean

# Records that count: the complete ones of the best losses, and of every kind the latest.
BEST = 50
LATEST = 30
# A run that was stopped, and neither as too hot nor as behind, is taken to be worse than the best
# one by this much, give or take that (log loss).
STOPPED, STOPPED_DEVIATION = 0.15, 0.1


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a study says so far.

    Attributes:
        surrogate: The process; ``None`` before the first run that tells anything of its loss.
        tried: Points of this study whose least expected loss is to be improved on.
        cliff: Where runs diverge.
    """

    surrogate: Surrogate | None
    tried: Points
    cliff: Cliffs


class Cliffs:
    """Where runs diverge, for schedules and for each tuner by itself.

    A tuner trains at its peak at most at first, so that its runs say nothing of schedules there.

    Args:
        held: Runs that ended.
        lost: Runs that diverged.

    Attributes:
        seen: Whether any run diverged.
    """

    def __init__(self, held: Located, lost: Located) -> None:
        self.seen = len(lost.peaks) > 0
        self._runs = held, lost
        self._known: dict[float, Cliff] = {}

    def holds(self, at: Located) -> Array:
        """Probability that a run at each of these points ends with a finite loss."""
        found = np.empty(len(at.peaks))
        for kind in np.unique(at.kinds).tolist():
            if kind not in self._known:
                held, lost = (runs.peaks[runs.kinds == kind] for runs in self._runs)
                self._known[kind] = Cliff(held, lost)
            here = at.kinds == kind
            found[here] = self._known[kind].holds(at.peaks[here])
        return found


def evidence(locator: Locator, kinds: Kinds, before: Earlier = NOTHING) -> Evidence:
    """What a study's records and earlier studies say about a space."""
    done = _telling(kinds.complete)
    ended = locator.points([r.parameters for r in done])
    burnt = locator.points([r.parameters for r in kinds.hot[-LATEST:]])
    cliff = Cliffs(ended, burnt)
    found, losses, deviations = ended.points, levels(done), np.zeros(len(done))
    if stopped := kinds.stopped[-LATEST:]:
        found = found.joined(locator.points([r.parameters for r in stopped]).points)
        least = losses.min() if len(losses) else 0.0
        lags = np.array([r.lag or (STOPPED, STOPPED_DEVIATION) for r in stopped])
        losses = np.append(losses, least + lags[:, 0])
        deviations = np.append(deviations, lags[:, 1])
    tried = ended.points if done else found
    own = losses.min() if len(losses) else 0.0
    found, losses = before.points.joined(found), np.append(before.losses, losses)
    deviations = np.append(np.zeros(len(before)), deviations)
    process = Surrogate(found, losses, deviations) if len(found) else None
    if running := kinds.running[-LATEST:]:
        now = locator.points([r.parameters for r in running]).points
        said = process.mean(now) + own if process else prior_mean(now)
        deviations = np.append(deviations, np.zeros(len(now)))
        process = Surrogate(found.joined(now), np.append(losses, said), deviations)
        tried = tried.joined(now)
    return Evidence(process, tried, cliff)


def _telling(done: list[TrialRecord]) -> list[TrialRecord]:
    """The best of these, and the latest of the others."""
    if len(done) <= BEST + LATEST:
        return done
    if len(done[0].values) == 1:
        values = np.array([r.values[0] for r in done])
        order = np.argpartition(values, BEST).tolist()
    else:
        place = {record.number: i for i, record in enumerate(done)}
        order = [place[record.number] for record in ranked(done)]
    return [done[i] for i in [*sorted(order[:BEST]), *sorted(order[BEST:])[-LATEST:]]]
