"""Tables of ours: products, errors, other stops, what the tolerance buys."""

import numpy as np
from neighbour_tables import beside
from outcomes import Prices, ours, stop_residual
from tables import GAPS, SETTLED, percent, share, spread, table


def accuracy(found: dict[str, dict], prices: Prices) -> list[str]:
    if not found:
        return []
    lines = ["## Products to the sharpness", ""]
    truths = [t for d in found.values() for t in d["truth"].values()]
    worst = max(t["error"] for t in truths)
    checks = [
        abs(c[k] / c["ours"] - 1)
        for d in found.values()
        for c in d["check"].values()
        for k in c
        if k != "ours"
    ]
    lines += [
        f"{len(found)} runs, {len(truths)} states whose sharpness is known to an estimated error "
        f"of {worst:.0e} at most; against scipy on curvlinops' and hessian-eigenthings' own "
        + (f"operators: within {max(checks):.0e} ({len(checks)} checks)." if checks else "absent."),
        "",
    ]
    for after, title in ((True, f"After the first {SETTLED} steps"), (False, "Steps 0 to 20")):
        rows = []
        for kind in ("cold", *(f"warm {g}" for g in GAPS)):
            data = list(ours(found, kind, after))
            if not data:
                continue
            rows.append(
                [
                    kind,
                    len(data),
                    spread([r["hvps"] for r in data]),
                    spread([100 * r["error"] for r in data], "{:.1f}"),
                    share([r["error"] > 0.02 for r in data]),
                    share([r["error"] > 0.1 for r in data]),
                    sum(r["error"] > max(0.02, r["residual"]) for r in data),
                    spread([r["to2"] for r in data]),
                    spread([r["to1"] for r in data]),
                ]
            )
        lines += [
            f"{title}, ours (median / p90 / max). An error above the residual means that a "
            "larger eigenvalue was not seen, not that the one found is inexact:",
            "",
        ]
        lines += table(
            ["start", "readings", "products, own stop", "error in %", "error > 2 %",
             "error > 10 %", "error > 2 % and > residual", "products to 2 %, perfect stop",
             "products to 1 %, perfect stop"],
            rows,
        )  # fmt: skip
    lines += [f"By model, after the first {SETTLED} steps (median products; error > 2 %):", ""]
    rows = []
    for name in sorted({n.rsplit("-", 1)[0] for n in found}):
        row: list[object] = [name]
        for kind in ("cold", *(f"warm {g}" for g in GAPS)):
            data = [r for r in ours(found, kind, True) if r["run"].rsplit("-", 1)[0] == name]
            row.append(
                f"{np.median([r['hvps'] for r in data]):.0f}; "
                f"{share([r['error'] > 0.02 for r in data])}"
                if data
                else "-"
            )
        rows.append(row)
    lines += table(["run", "cold", *(f"warm {g}" for g in GAPS)], rows)
    lines += stops(found)
    lines += beside(found, prices)
    return lines


def stops(found: dict[str, dict]) -> list[str]:
    """What a stop on the relative residual would have done with the same iterates."""
    rows = []
    for kind in ("cold", "warm 10"):
        data = list(ours(found, kind, None))
        if not data:
            continue

        def row(name: str, ends: list[tuple[float, int]], kind: str = kind) -> list[object]:
            errors = [e for e, _ in ends]
            return [
                kind,
                name,
                spread([p for _, p in ends]),
                f"{np.mean([p for _, p in ends]):.1f}",
                percent(float(np.mean([e > 0.02 for e in errors]))),
                percent(float(np.mean([e > 0.1 for e in errors]))),
                spread([100 * e for e in errors], "{:.1f}"),
            ]

        rows.append(row("its own", [(r["error"], r["hvps"]) for r in data]))
        for tolerance in (0.1, 0.05, 0.03, 0.02, 0.01):
            ends = [(r, *stop_residual(r["row"], tolerance)) for r in data]
            rows.append(
                row(f"residual {tolerance:g}", [(abs(v / r["truth"] - 1), p) for r, v, p in ends])
            )
        rows.append(row("perfect, 2 %", [(0.0, r["to2"]) for r in data if r["to2"] < 100]))
    return [
        "Other stops on the same iterates (relative residual; 24 products allowed by the own stop, "
        "40 by the others), all steps:",
        "",
        *table(
            ["start", "stop", "products", "mean", "error > 2 %", "error > 10 %", "error in %"],
            rows,
        ),
    ]


def tolerance_table(found: dict[str, dict]) -> list[str]:
    """What the tolerance buys: cold, and in a warm chain of a reading every ten steps."""
    if not found:
        return []
    rows = []
    for kind in ("cold", "warm"):
        for tolerance in next(iter(found.values()))["rows"][-1][kind]:
            cells = [
                (r[kind][tolerance][0], abs(r[kind][tolerance][1] / r["truth"] - 1), name)
                for name, d in found.items()
                for r in d["rows"]
                if r["step"] > SETTLED
            ]
            per = {
                optimizer: percent(
                    float(np.mean([e > 0.02 for _, e, n in cells if n.endswith(optimizer)]))
                )
                for optimizer in ("sgd", "adamw")
            }
            rows.append(
                [kind, tolerance, len(cells), spread([p for p, *_ in cells]),
                 f"{np.mean([p for p, *_ in cells]):.1f}",
                 percent(float(np.mean([e > 0.02 for _, e, _ in cells]))),
                 per["sgd"], per["adamw"],
                 percent(float(np.mean([e > 0.1 for _, e, _ in cells]))),
                 spread([100 * e for _, e, _ in cells], "{:.1f}")]
            )  # fmt: skip
    return [
        "## What the tolerance buys",
        "",
        f"`sharpness(tolerance=...)` in all runs, a reading every ten steps, after the first "
        f"{SETTLED}; a warm chain starts from its own last reading.",
        "",
        *table(
            ["start", "tolerance", "readings", "products", "mean", "error > 2 %", "under SGD",
             "under AdamW", "error > 10 %", "error in %"],
            rows,
        ),
    ]  # fmt: skip
