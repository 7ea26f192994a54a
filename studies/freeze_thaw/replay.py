"""Workers that share a stream of trials and may stop, pause and resume: an event replay."""

import heapq
from dataclasses import dataclass, field

import numpy as np
from table import Table

RUNGS = (1 / 9, 1 / 3)  # shares of the budget


@dataclass(frozen=True)
class Policy:
    """What happens at rungs.

    Attributes:
        name: Row of the tables.
        signal: What runs are compared by at rungs; ``None`` for no rungs.
        pause: How runs that are not among the best are treated: "" stops them (Ray's rule: the
            1 / eta quantile of the earlier ones); "same" has that rule and pauses instead;
            "strict" takes the best floor(n / eta) of all that arrived (the promotion of Li et al.
            2020); "open" the best floor(n / eta) of those neither complete nor stopped.
        decide: Whether `lrsearch.search.decide` also acts, at every probe.
        cap: Paused runs kept at most; the worst of the lowest rung is given up.
        eta: Reduction factor.
        rungs: Shares of the budget.
        shuffled: Negative control: signals permuted among the stream's runs at every rung.
    """

    name: str
    signal: str | None = None
    pause: str = ""
    decide: bool = False
    cap: int | None = None
    eta: float = 3
    rungs: tuple[float, ...] = RUNGS
    shuffled: bool = False

    @property
    def watched(self) -> bool:
        """Whether it needs readings that cost something."""
        return self.decide or self.signal in ("annealed", "paired", "batch")


@dataclass
class Outcome:
    """What a sweep came to.

    Attributes:
        completions: (cost, checkpoint writes + reads, trial) of each complete run, in order.
        cost: Everything spent, without pauses' own price.
        transfers: Checkpoint writes and reads.
        pauses: How often a run was paused.
        resumes: How often one was resumed.
        peak: Most paused runs at a time.
        started: Trials begun.
        time: When the last worker was done, in run lengths.
    """

    completions: list[tuple[float, int, int]] = field(default_factory=list)
    cost: float = 0.0
    transfers: int = 0
    pauses: int = 0
    resumes: int = 0
    peak: int = 0
    started: int = 0
    time: float = 0.0


def segments(table: Table, policy: Policy) -> list[list[tuple[float, str]]]:
    """Of each run: cost and kind of end ("rung", "end", "stop") of its stretches."""
    rungs = [table.probe(s) for s in policy.rungs] if policy.signal else []
    total = table.step + (table.watch if policy.watched else 0.0)
    found = []
    for i, last in enumerate(table.last):
        final = int(last)
        kind = "end" if table.finite[i] else "stop"
        if policy.decide and 0 <= table.decided[i] <= final:
            final, kind = int(table.decided[i]), "stop"
        marks = [k for k in rungs if k < final] + [final]
        costs = np.diff([0.0, *total[marks]])
        kinds = ["rung"] * (len(marks) - 1) + [kind]
        found.append(list(zip(costs.tolist(), kinds, strict=True)))
    return found


def signal(
    table: Table, policy: Policy, stream: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(rungs, trials): what the policy compares."""
    if policy.signal is None:
        return np.zeros((0, len(stream)))
    probes = [table.probe(s) for s in policy.rungs]
    values = table.signals[policy.signal][np.ix_(stream, probes)].T
    if policy.shuffled:
        values = np.array([rng.permutation(row) for row in values])
    return values


class Sweep:
    """One sweep of a policy: who runs, who waits, what was spent."""

    def __init__(self, policy: Policy, stretches: list, values: np.ndarray) -> None:
        self.policy = policy
        self.stretches = stretches  # of the stream's trials
        self.values = values
        self.arrived: list[list[int]] = [[] for _ in values]
        self.paused: dict[int, int] = {}  # trial -> rung
        self.closed: set[int] = set()
        self.outcome = Outcome()

    def passes(self, trial: int, rung: int, *, arriving: bool) -> bool:
        """Whether the trial is among the best at this rung."""
        row, eta = self.values[rung], self.policy.eta
        others = self.arrived[rung]
        if self.policy.pause in ("", "same"):
            if arriving:
                others = others[:-1]
            if not others:
                return True
            ordered = np.sort(row[others])
            place = (len(ordered) - 1) / eta  # linear interpolation, as numpy's percentile
            low = int(place)
            high = min(low + 1, len(ordered) - 1)
            cut = ordered[low]
            if np.isfinite(ordered[high]):
                cut += (place - low) * (ordered[high] - cut)
            return bool(row[trial] <= cut and np.isfinite(row[trial]))
        if self.policy.pause == "open":
            others = [t for t in others if t not in self.closed]
        better = sum(row[t] < row[trial] for t in others)
        return better < int(len(others) / eta)

    def arrive(self, trial: int, rung: int) -> bool:
        """Take the trial's value; True if it goes on at once."""
        self.arrived[rung].append(trial)
        if self.passes(trial, rung, arriving=True):
            return True
        if not self.policy.pause:
            self.closed.add(trial)
            return False
        self.outcome.pauses += 1
        self.outcome.transfers += 1
        self.paused[trial] = rung
        cap = self.policy.cap
        if cap is not None and len(self.paused) > cap:
            lowest = min(self.paused.values())
            row = self.values[lowest]
            worst = max((t for t, r in self.paused.items() if r == lowest), key=lambda t: row[t])
            del self.paused[worst]
            self.closed.add(worst)
        self.outcome.peak = max(self.outcome.peak, len(self.paused))
        return False

    def next_trial(self) -> tuple[int, int] | None:
        """(trial, stretch) for a free worker: the furthest and best to resume, else a new one."""
        able = [t for t, r in self.paused.items() if self.passes(t, r, arriving=False)]
        if able:
            best = min(able, key=lambda t: (-self.paused[t], self.values[self.paused[t]][t]))
            self.outcome.resumes += 1
            self.outcome.transfers += 1
            return best, self.paused.pop(best) + 1
        if self.outcome.started < len(self.stretches):
            self.outcome.started += 1
            return self.outcome.started - 1, 0
        return None


def replay(sweep: Sweep, workers: int, speeds: np.ndarray, limit: float = np.inf) -> Outcome:
    """Run the sweep until nothing is left to do or its cost passes the limit."""
    out = sweep.outcome
    busy: list[tuple[float, int, int, int, float, float]] = []  # end, order, trial, stretch, ...
    order, now, spent = 0, 0.0, 0.0

    def begin(trial: int, stretch: int) -> None:
        nonlocal order
        order += 1
        cost = sweep.stretches[trial][stretch][0]
        heapq.heappush(busy, (now + cost / speeds[trial], order, trial, stretch, now, cost))

    while True:
        while len(busy) < workers:
            found = sweep.next_trial()
            if found is None:
                break
            begin(*found)
        if not busy:
            break
        now, _, trial, stretch, _, cost = heapq.heappop(busy)
        spent += cost
        flying = sum(c * (now - t0) / max(t1 - t0, 1e-12) for t1, _, _, _, t0, c in busy)
        out.cost, out.time = spent + flying, now
        kind = sweep.stretches[trial][stretch][1]
        if kind == "rung":
            if sweep.arrive(trial, stretch):
                begin(trial, stretch + 1)
        else:
            sweep.closed.add(trial)
            if kind == "end":
                out.completions.append((out.cost, out.transfers, trial))
        if out.cost > limit:
            break
    return out
