"""results.md from the recorded ladders and frozen.json.

python report.py
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import alignment
import archive
import features
import freeze
import limits
import numpy as np
import pairs
from definitions import ALTERNATIVES, BUDGETS, DEFINITIONS, FIRST, LABELS, OURS, annealed
from freeze import ALL
from ladders import Ladder, recorded
from rates import OCTAVE
from specs import DEVELOPMENT, EVALUATION, KINDS, PAIRS
from transfer import Off, edges, off, spread

from lrsearch.curvature._shift import WIDTH

RESULTS = Path(__file__).parent / "results.md"
NEAR = 0.02  # log loss
SHORTEST = 500  # steps: budgets of this many, and longer ones
SHOWN = "ours, 40 steps"
HEAD = [
    "definition",
    "tasks",
    "off, octaves (95 %)",
    *KINDS,
    "median best multiplier",
    "between seeds",
    "regret, median",
    "worst task",
    "cost, gradients",
]

Table = list[list[str]]


def offs(name: str, ladders: Iterable[Ladder], *, classes: bool) -> list[Off]:
    """How far tasks are off with the frozen multipliers: one for all, or one for each class."""
    octaves = freeze.frozen()["multipliers"][name]
    return [
        off(one, DEFINITIONS[name], octaves[one.spec.kind if classes else ALL]) for one in ladders
    ]


def row(name: str, ladders: list[Ladder], *, classes: bool = False) -> list[str]:
    """One definition over some tasks."""
    each = offs(name, ladders, classes=classes)
    found = spread(each)
    of_kind = {kind: [o for o in each if o.kind == kind] for kind in KINDS}
    middles = {k: float(np.median([o.octaves.mean() for o in v])) for k, v in of_kind.items() if v}
    return [
        f"{name}, one for each class" if classes else name,
        str(found.tasks),
        f"{found.rms:.2f} ({found.low:.2f} to {found.high:.2f})",
        *(f"{spread(v).rms:.2f}" if v else "-" for v in of_kind.values()),
        " / ".join(f"{2**m:.2f}" for m in middles.values()),
        f"{found.seeds:.2f}",
        percent(found.regret),
        f"{percent(found.worst[0])}: {found.worst[1]}",
        f"{found.cost:.0f}",
    ]


def percent(nats: float) -> str:
    """Log loss given up, as a share of the loss."""
    return "diverged" if nats > 2 else f"{100 * np.expm1(nats):.1f} %"


def beside(ladders: list[Ladder]) -> Table:
    """Ours and the alternatives."""
    return [
        *(row(name, ladders) for name in (*OURS, *BUDGETS, *FIRST)),
        *(
            row(name, ladders, classes=classes)
            for name in ("usual rate", *ALTERNATIVES)
            for classes in (False, True)
        ),
    ]


def single(ladder: Ladder, name: str = SHOWN) -> tuple[float, list[str]]:
    """A task's row, and how far it is off."""
    (found,) = offs(name, [ladder], classes=False)
    mean = float(found.octaves.mean())
    near = [k for k, v in ladder.truth.items() if v < min(ladder.truth.values()) + NEAR]
    return mean, [
        ladder.spec.name,
        f"{2**ladder.best:.3g}",
        f"{2 ** (ladder.best - mean):.3g}",
        f"{mean:+.2f}",
        f"{float(found.octaves.std(ddof=1)):.2f}",
        percent(float(found.regrets.mean())),
        f"{(max(near) - min(near)) / OCTAVE:.2f}",
        f"{found.cost / ladder.spec.budget:.2f}",
    ]


SINGLE = [
    "task",
    "best rate",
    "said",
    "off, octaves",
    "between seeds",
    "regret",
    "octaves within 2 %",
    "cost, full runs",
]


def singles(ladders: list[Ladder]) -> Table:
    """Every task, the worst first."""
    found = sorted((single(one) for one in ladders), key=lambda one: -abs(one[0]))
    return [cells for _, cells in found]


def excess(ladder: Ladder) -> list[str]:
    """A task's short runs against its long ones."""
    return [
        ladder.spec.name,
        *(
            f"{edges(ladder, annealed(label, width=WIDTH)).mean() - ladder.best:+.2f}"
            for label in LABELS
        ),
    ]


def transfers() -> list[str]:
    """Zero-shot transfer over the pairs whose ladders are complete, and those with muP's."""
    found = [both for pair in PAIRS if len(both := recorded(pair)) == 2]
    ways: dict[str, pairs.Way] = {
        **{f"edge ({name})": pairs.by_edge(DEFINITIONS[name]) for name in OURS},
        "raw rate": pairs.by_rate,
        "raw rate, scaled with the batch": pairs.by_batch,
    }
    lines = []
    for title, wide in (("Width x16", True), ("Batch x16", False)):
        chosen = [both for both in found if (both[0].spec.width != both[1].spec.width) == wide]
        if not chosen:
            continue
        rows = []
        for name, way in ways.items():
            moved = [pairs.moved(way, small, large) for small, large in chosen]
            rows.append(transfer_row(name, moved))
        done = [pair for pair in chosen if all(archive.mup_of(x.spec.name).exists() for x in pair)]
        if wide and done:
            rows.append(transfer_row("muP", [pairs.by_mup(*pair) for pair in done]))
        names = ", ".join(f"{small.spec.name} to {large.spec.name}" for small, large in chosen)
        head = ["way", "pairs", "off, octaves rms", "regret, median", "mean", "worst"]
        lines += [f"### {title}", "", f"Pairs: {names}.", *table(head, rows)]
    return lines


def transfer_row(name: str, moved: list[pairs.Moved]) -> list[str]:
    octaves = np.array([each.octaves.mean() for each in moved])
    regrets = np.array([each.regrets.mean() for each in moved])
    return [
        name,
        str(len(moved)),
        f"{float(np.sqrt(np.mean(octaves**2))):.2f}",
        *(percent(float(x)) for x in (np.median(regrets), regrets.mean(), regrets.max())),
    ]


def table(head: list[str], rows: Table) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["", *("| " + " | ".join(cells) + " |" for cells in lines), ""]


def split(ladders: list[Ladder], keep: Callable[[int], bool]) -> list[Ladder]:
    return [one for one in ladders if keep(one.spec.budget)]


def part(name: str, ladders: list[Ladder], make: Callable[[list[Ladder]], Table]) -> list[str]:
    """The same table for budgets of 500 steps, for longer ones and for all."""
    short, long = split(ladders, lambda t: t <= SHORTEST), split(ladders, lambda t: t > SHORTEST)
    lines = []
    for title, found in ((f"{SHORTEST} steps", short), ("more", long), ("all", ladders)):
        if len(found) > 1:
            lines += [f"### {name}, {title}", *table(HEAD, make(found))]
    return lines


def main() -> None:
    fitted = sorted(recorded(DEVELOPMENT), key=lambda one: one.spec.name)
    judged = sorted(recorded(EVALUATION), key=lambda one: one.spec.name)
    lines = [
        "# One number that transfers: results",
        "",
        "Made by `report.py`; what the columns mean stands in [README.md](README.md).",
        f"Constants frozen on development tasks: {freeze.frozen()['hash']}.",
        "",
        "## Evaluation",
        "",
        *part("Evaluation", judged, beside),
        f"### Each task, {SHOWN}",
        *table(SINGLE, singles(judged)),
        "## Zero-shot transfer to a task 16 times larger",
        "",
        *transfers(),
        *alignment.page(),
        "## Development: constants were fitted here",
        "",
        *part("Development", fitted, beside),
        f"### Each development task, {SHOWN}",
        *table(SINGLE, singles(fitted)),
        f"### What was tried, {SHORTEST} steps",
        *table(
            HEAD,
            [
                row(name, split(fitted, lambda t: t <= SHORTEST))
                for name in DEFINITIONS
                if name not in (*OURS, *BUDGETS, *FIRST, "usual rate", *ALTERNATIVES)
            ],
        ),
        f"### Whether anything tells what is left, {SHORTEST} steps",
        "",
        "Octaves left by a regression on one feature that leaves one task out; the control",
        "shuffles the feature between tasks (5 % and 50 % of 200 draws).",
        *table(
            ["feature", "correlation", "left", "control"],
            features.rows(split(fitted, lambda t: t <= SHORTEST)),
        ),
        "### Longer budgets",
        "",
        "Octaves a doubling by which the best rate moves from 500 steps on, by what short runs",
        "say; repeated: more than 1.5 epochs, not augmented.",
        *table(
            ["task", "short runs", "octaves a doubling", "repeated"],
            limits.drifts(fitted) + limits.drifts(judged),
        ),
        "### Short runs against those of the budget",
        "",
        "Octaves by which the best rate of short runs (weighted, mean over calibrations) is above",
        "that of the budget.",
        *table(["task", *LABELS], [excess(one) for one in fitted + judged]),
        "### Where runs diverge",
        "",
        "Octaves from the best rate of the budget to the highest recorded one under which no seed",
        "diverged; `-` where none did.",
        *table(["task", *LABELS, "full"], [limits.cliffs(one) for one in fitted + judged]),
    ]
    text = "\n".join(lines).replace("\n\n\n", "\n\n")
    RESULTS.write_text(text.rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
