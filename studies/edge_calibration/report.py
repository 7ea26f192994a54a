"""results.md from the recorded ladders.

python report.py
"""

from pathlib import Path

from definitions import DEFINITIONS, WIDTH, annealed
from ladder import labels
from ladders import Ladder, recorded
from rates import OCTAVE
from specs import DEVELOPMENT
from transfer import edges, multiplier, off, spread

RESULTS = Path(__file__).parent / "results.md"
PLAIN = labels(DEVELOPMENT[0])[:-1]
NEAR = 0.02  # log loss
KINDS = ("sgd", "momentum", "adam")
HEAD = (
    "| definition | tasks | multiplier | off, octaves (95 %) | "
    + " | ".join(KINDS)
    + " | between seeds | regret, median | worst task | cost, gradients |"
)


def row(name: str, fitted: list[Ladder], judged: list[Ladder]) -> str:
    """One definition; its multiplier comes from the first tasks, the rest is over the others."""
    definition = DEFINITIONS[name]
    octaves = multiplier(fitted, definition)
    offs = [off(ladder, definition, octaves) for ladder in judged]
    found = spread(offs)
    classes = [spread([o for o in offs if o.kind == kind]).rms for kind in KINDS]
    cells = [
        name,
        str(found.tasks),
        f"{2**octaves:.2f}",
        f"{found.rms:.2f} ({found.low:.2f} to {found.high:.2f})",
        *(f"{rms:.2f}" for rms in classes),
        f"{found.seeds:.2f}",
        f"{100 * found.regret:.1f} %",
        f"{100 * found.worst[0]:.1f} %: {found.worst[1]}",
        f"{found.cost:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def excess(ladder: Ladder) -> str:
    """A task's short runs against its long ones."""
    cells = [
        f"{edges(ladder, annealed(label, width=WIDTH)).mean() - ladder.best:+.2f}"
        for label in PLAIN
    ]
    least = min(ladder.truth.values())
    near = [k for k, value in ladder.truth.items() if value < least + NEAR]
    wide = (max(near) - min(near)) / OCTAVE
    return f"| {ladder.spec.name} | " + " | ".join(cells) + f" | {wide:.2f} |"


def main() -> None:
    short = [ladder for ladder in recorded(DEVELOPMENT) if ladder.spec.budget == 500]
    lines = [
        "# One number that transfers: results",
        "",
        "Made by `report.py`; what the columns mean stands in [README.md](README.md).",
        "",
        "## Development tasks, 500 steps",
        "",
        "Everything is fitted here, so nothing is claimed from it.",
        "",
        HEAD,
        "|---" * HEAD.count(" | ") + "|---|",
        *(row(name, short, short) for name in DEFINITIONS),
        "",
        "## Short runs against long ones",
        "",
        "Octaves by which the best rate of short runs (weighted, mean over calibrations) is above",
        "that of the budget; and the octaves whose loss is within 2 % of the best.",
        "",
        "| task | " + " | ".join(PLAIN) + " | within 2 % |",
        "|---" * (len(PLAIN) + 2) + "|",
        *(excess(ladder) for ladder in short),
        "",
        "## Where the best rate moves with the budget",
        "",
        "| task | best rate |",
        "|---|---|",
        *(
            f"| {ladder.spec.name} | {2**ladder.best:.4g} |"
            for ladder in sorted(recorded(DEVELOPMENT), key=lambda one: one.spec.name)
        ),
    ]
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
