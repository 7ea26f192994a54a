"""Tables beside other tools: the same start, gradients over gradients, and the goals."""

import numpy as np
from outcomes import Prices, hit, ours, perfect, states, tools, tuned_tolerance
from tables import GAPS, SETTLED, percent, share, spread, table


def warm_gap(tool: str) -> int | None:
    return int(tool.split(" warm ")[1].split(",")[0]) if " warm " in tool else None


def same_start(found: dict[str, dict]) -> list[str]:
    """Lanczos, LOBPCG and power iteration from the same exact vector of some steps ago."""
    rows = []
    for gap in GAPS:
        cells: list[object] = []
        ahead = count = 0
        for name in ("ours", "lobpcg", "power"):
            hits = [
                (hit(n[f"{name} warm {gap}"]["values"], truth, 0.02),
                 hit(n[f"{name} warm {gap}"]["values"], truth, 0.01))
                for _, _, truth, n in states(found) if f"ours warm {gap}" in n
            ]  # fmt: skip
            if not hits:
                break
            cells += [spread([h[0] for h in hits]), spread([h[1] for h in hits])]
            if name == "ours":
                base, count = hits, len(hits)
            else:
                ahead += sum(h[1] < b[1] for h, b in zip(hits, base, strict=True))
        else:
            rows.append([gap, count, *cells, ahead])
    return [
        "From the same start, the exact eigenvector of so many steps ago, with a perfect stop "
        "(median / p90 / max):",
        "",
        *table(
            ["steps ago", "states", "Lanczos to 2 %", "to 1 %", "LOBPCG to 2 %", "to 1 %",
             "power to 2 %", "to 1 %", "others ahead of Lanczos at 1 %"],
            rows,
        ),
    ]  # fmt: skip


def compared(found: dict[str, dict], prices: Prices) -> tuple[dict, dict, dict]:
    """Neighbours; (tool, run, step) -> (error, products, g) at their own stops; with perfect ones.

    The last: -> (products, g).
    """
    known = tools(tuned_tolerance(found)[0])
    own, best = {}, {}
    for tool, (stop, pricing) in known.items():
        for name, step, truth, n in states(found):
            ended = stop(n)
            if ended is None:
                continue
            value, products = ended
            price = getattr(prices, pricing)
            model = name.split("-")[0]
            error = abs(value / truth - 1)
            ideal = perfect(n, tool, truth)
            own[tool, name, step] = (error, products, price(model, products))
            if ideal is not None:
                best[tool, name, step] = (ideal, price(model, ideal))
    return known, own, best


def beside(found: dict[str, dict], prices: Prices) -> list[str]:
    """The neighbours, and how many times what we cost."""
    tuned, late, count = tuned_tolerance(found)
    known, own, best = compared(found, prices)
    rows = []
    for tool in known:
        data = [value for key, value in own.items() if key[0] == tool]
        ideals = [value[0] for key, value in best.items() if key[0] == tool]
        if not data:
            rows.append([tool, "absent", "", "", "", "", ""])
            continue
        rows.append(
            [
                tool,
                len(data),
                spread([d[1] for d in data]),
                spread([100 * d[0] for d in data], "{:.1f}"),
                share([d[0] > 0.01 for d in data]),
                f"{np.median([d[2] for d in data]):.1f}",
                spread(ideals) if ideals else "not visible",
            ]
        )
    lines = [
        f"Neighbours, {count} states (median / p90 / max), on the same operator; g: gradients by "
        f"each tool's own kind of product. PyHessian's rule needs tolerance {tuned:g} for an error "
        f"above 1 % in at most 5 % of states ({late} of {count}).",
        "",
    ]
    lines += table(
        ["tool", "states", "products, own stop", "error in %", "error > 1 %", "g (median)",
         "products to 1 %, perfect stop"],
        rows,
    )  # fmt: skip
    rows, by_tool = [], []
    for kind in ("cold", *(f"warm {g}" for g in GAPS)):
        gap = None if kind == "cold" else int(kind.split()[-1])
        mine = {(r["run"], str(r["step"])): r for r in ours(found, kind, None)}
        sets = {"cold tools": [t for t in known if warm_gap(t) is None]}
        if gap is not None:
            sets["with warm LOBPCG, power"] = [t for t in known if warm_gap(t) in (None, gap)]
        for label, group in sets.items():
            rows.append([kind, label, *ratios(mine, group, own, best, prices)])
        for tool in known:
            if warm_gap(tool) not in (None, gap):
                continue
            pairs = [
                (own[tool, *key][2] / prices.reused(r["model"], r["hvps"]), r["step"])
                for key, r in mine.items()
                if (tool, *key) in own
            ]
            late_ = [x for x, step in pairs if step > SETTLED]
            if pairs:
                by_tool.append([kind, tool, f"{np.median([x for x, _ in pairs]):.1f}",
                                f"{np.median(late_):.1f}" if late_ else "-"])  # fmt: skip
    lines += [
        "Gradients of the best neighbour *of each state* (chosen in hindsight) over ours, medians. "
        "Perfect stop: both to 1 %, scipy at its own stop. Own stop: the neighbour's cheapest "
        "result that is within 2 %, over our reading at its default stop, whatever its error. Warm "
        "neighbours start from the *exact* vector, ours from its own last reading.",
        "",
    ]
    lines += table(
        ["ours", "best among", "states", "perfect stop: all", f"after {SETTLED} steps",
         "own stop: all", f"after {SETTLED} steps", "of these our error > 2 %",
         "somebody needs fewer products (perfect stop)"],
        rows,
    )  # fmt: skip
    lines += ["Each neighbour at its own stop over ours at its own (median of g over g):", ""]
    tool_rows: dict[str, list[str]] = {}
    kinds = ["cold", *(f"warm {g}" for g in GAPS)]
    for kind, tool, everywhere, later in by_tool:
        label = tool if warm_gap(tool) is None else tool.replace(f"warm {warm_gap(tool)}", "warm")
        tool_rows.setdefault(label, ["-"] * len(kinds))[kinds.index(kind)] = (
            f"{everywhere} ({later})"
        )
    lines += table(
        ["neighbour", *(f"over ours {k} (after {SETTLED})" for k in kinds)],
        [[t, *cells] for t, cells in tool_rows.items()],
    )
    return lines + same_start(found)


def ratios(mine: dict, group: list[str], own: dict, best: dict, prices: Prices) -> list[object]:
    """Of the best of a group over ours: count and medians, for a row of the table."""
    perfect_, shipped, fewer, wrong = [], [], 0, 0
    for key, r in mine.items():
        cells = [(tool, *key) for tool in group]
        goal = [best[c][1] for c in cells if c in best]
        goal += [own[c][2] for c in cells if c in own and c not in best and own[c][0] <= 0.01]
        if not goal:
            continue
        perfect_.append((min(goal) / prices.reused(r["model"], r["to1"]), r["step"]))
        fits = [own[c][2] for c in cells if c in own and own[c][0] <= 0.02]
        if fits:
            shipped.append((min(fits) / prices.reused(r["model"], r["hvps"]), r["step"]))
            wrong += r["error"] > 0.02
        fewer += min(best[c][0] for c in cells if c in best) < r["to1"]

    def medians(pairs: list[tuple[float, int]]) -> list[str]:
        later = [x for x, step in pairs if step > SETTLED]
        return [f"{np.median([x for x, _ in pairs]):.1f}" if pairs else "-",
                f"{np.median(later):.1f}" if later else "-"]  # fmt: skip

    return [len(perfect_), *medians(perfect_), *medians(shipped),
            f"{wrong} of {len(shipped)}", f"{fewer} of {len(perfect_)}"]  # fmt: skip


def goals(found: dict[str, dict], prices: Prices) -> list[str]:
    if not found:
        return []
    rows = []
    for gap in GAPS:
        data = list(ours(found, f"warm {gap}", True))
        if not data:
            continue
        hvps, errors = [r["hvps"] for r in data], [r["error"] for r in data]
        met = max(np.median(hvps), np.median([r["to2"] for r in data])) <= 2
        honest = np.mean([e > 0.02 for e in errors])
        rows.append(
            [f"warm to 2 % in a median of <= 2 products, {gap} steps later",
             f"{np.median(hvps):.0f} at its own stop, {np.median([r['to2'] for r in data]):.0f} "
             "with a perfect one", "met" if met else "missed",
             f"error above 2 % in {percent(honest)} of readings"]
        )  # fmt: skip
    data = list(ours(found, "cold", None))
    hvps = [r["hvps"] for r in data]
    honest = np.mean([r["error"] > 0.02 for r in data])
    rows.append(
        ["cold in <= 8 products", f"median {np.median(hvps):.0f}, p90 {np.quantile(hvps, 0.9):.0f},"
         f" max {max(hvps)}; perfect stop to 2 % {spread([r['to2'] for r in data])}",
         "met in the median" if np.median(hvps) <= 8 else "missed",
         f"{share([h > 8 for h in hvps])} take more; error above 2 % in {percent(honest)}"]
    )  # fmt: skip
    known, own, best = compared(found, prices)
    for gap in GAPS:
        mine = {(r["run"], str(r["step"])): r for r in ours(found, f"warm {gap}", None)}
        cold = ratios(mine, [t for t in known if warm_gap(t) is None], own, best, prices)
        every = ratios(mine, [t for t in known if warm_gap(t) in (None, gap)], own, best, prices)
        rows.append(
            [f">= 5x fewer gradients than the best neighbour, warm, {gap} steps later",
             f"{cold[3]} x at own stops; {every[3]} x where LOBPCG and power are warm too",
             "met" if min(float(cold[3]), float(every[3])) >= 5 else "missed",
             f"perfect stops at 1 %: {cold[1]} x; {every[1]} x"]
        )  # fmt: skip
        rows.append(
            [f"never more products than a neighbour, warm, {gap} steps later",
             f"a cold one needs fewer in {cold[6]} states; any in {every[6]}",
             "missed" if not every[6].startswith("0 ") else "met", "perfect stops at 1 %"]
        )  # fmt: skip
    return ["## Goals", "", *table(["goal", "measured", "", "beside it"], rows)]
