"""Make results.md from raw/.

python studies/budgeted_schedules/report.py [--raw FOLDER] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import condition_tables
import prior_tables
import shape_tables
from outcomes import Outcome, outcomes, percent
from run import FEWER, HELD, TUNING, read
from shape_tables import budgets

HERE = Path(__file__).parent


def losses(found: list[Outcome]) -> list[str]:
    tolerance = [2 * o.noise for o in found]
    lines = [
        "# Schedules at their own best peaks, by budget: results",
        "",
        "Per cent of test loss given up against the best schedule of the same task, optimizer and",
        f"budget: means over {len(HELD)} held-out seeds at the peak that {len(TUNING)} tuning",
        f"seeds chose ({FEWER['100'][1]} and {FEWER['100'][0]} at 100 %). Noise floor: standard",
        "error of a difference of two schedules (interaction of schedule and seed); that of the",
        "mean beside it. In brackets 95 % over tasks, then seeds.",
        f"{len(found)} cells of task, optimizer and budget.",
        "",
        "## 1. Loss given up",
        "",
        *shape_tables.summary(found),
        "",
        "Tolerance at which a cell is admissible (METRICS: 2 sqrt(2) sigma / sqrt(S)): "
        f"{percent(min(tolerance)):.1f} to {percent(max(tolerance)):.1f} %.",
    ]
    for budget in budgets(found):
        lines += shape_tables.one_budget(found, budget)
    return lines


def versus(found: list[Outcome]) -> list[str]:
    return [
        "",
        "## 2. UBA against the others",
        "",
        "Mean difference of test loss in per cent, negative where UBA is better; bold where the",
        "interval excludes zero. Cells: beyond two noise floors. Searched: the phi (or the",
        "schedule) with the least loss on tuning seeds; it costs seven times the runs.",
        *shape_tables.uba(found),
        "",
        "## 3. The best phi",
        "",
        "Per cent of loss over that of the best phi of the row.",
        "",
        *shape_tables.phis(found),
    ]


def condition(found: list[Outcome], raw: Path) -> list[str]:
    if not (raw / "condition").exists():
        return []
    return [
        "",
        "## 4. phi = 2 kappa",
        "",
        "Measured condition numbers in the optimizer's metric along linear decay at its best peak:",
        "largest eigenvalue over what each column takes for the smallest (a quantile of the sizes",
        "of all eigenvalues, their mean, the curvature along the gradient, batch sharpness);",
        "medians over budgets, one seed. `inf`: the denominator is not positive.",
        "",
        *condition_tables.measured(raw),
        "",
        "Loss over searching phi. The rule takes the trained phi that is nearest to 2 kappa, read",
        f"at {100 * condition_tables.FIRST:.0f} % of the budget.",
        "",
        *condition_tables.rules(found, raw),
        "",
        *condition_tables.best_against_kappa(found, raw),
    ]


def priors(found: list[Outcome]) -> list[str]:
    return [
        "",
        "## 5. What the search believes",
        "",
        f"Rank correlation of believed and measured loss over {len(prior_tables.LABELS)} schedules",
        "(means of the cells of each group).",
        "",
        *prior_tables.ranks(found),
        "",
        "Per cent of loss over linear decay's.",
        "",
        *prior_tables.levels(found),
        "",
        "## 6. Where the peaks lie",
        "",
        "Octaves of the best peak over linear decay's: what the alignment says, and means of what",
        "was measured (vertex of a parabola; deviation: over cells).",
        "",
        *prior_tables.peaks(found),
        "",
        "Root mean square octaves between alignment and measured peak, by exponent; noise: the",
        "standard error of a measured difference, from single tuning seeds.",
        "",
        *prior_tables.exponents(found),
        "",
        "Per cent of validation loss given up if every schedule is trained at linear decay's best",
        "peak, moved by the alignment.",
        "",
        *prior_tables.prices(found),
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=HERE / "raw")
    parser.add_argument("--out", type=Path, default=HERE / "results.md")
    options = parser.parse_args(arguments)
    found = outcomes(options.raw)
    if not found:
        raise SystemExit(f"no complete cell in {options.raw}: run run.py first.")
    lines = losses(found) + versus(found) + condition(found, options.raw) + priors(found)
    kinds = [read(path)["environment"] for path in sorted(options.raw.rglob("*.json.gz"))]
    for environment in {str(k): k for k in kinds}.values():
        lines += ["", "Environment: " + ", ".join(f"{k} {v}" for k, v in environment.items()) + "."]
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
