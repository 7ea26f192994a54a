"""Tables of prices, memory and overhead."""

import numpy as np
from tables import table

from lrsearch.curvature import _cost


def price_table(found: dict[str, dict]) -> list[str]:
    if not found:
        return []
    names = list(dict.fromkeys(n for d in found.values() for n in d["median"]))
    names = [n for n in names if n != "milliseconds"]
    order = sorted(found, key=lambda n: (n.split("-")[0], int(n.split("-")[1])))
    rows: list[list[object]] = [
        ["one gradient, ms", *(f"{found[c]['median']['milliseconds']:.2f}" for c in order), ""]
    ]
    for name in names:
        values = [found[c]["median"].get(name) for c in order]
        known = [v for v in values if v is not None]
        cells = []
        for c, v in zip(order, values, strict=True):
            more = f" ({found[c]['hvps'][name]})" if name in found[c]["hvps"] else ""
            cells.append("absent" if v is None else f"{v:.2f}{more}")
        rows.append([name, *cells, f"{np.median(known):.2f}"])
    lines = ["## Prices, in gradients measured in the same round", ""]
    lines += [f"Medians of {min(d['rounds'] for d in found.values())} rounds; products in "]
    lines[-1] += "brackets. `gauss-newton, graphs` is the first product less a reused one."
    lines += ["", *table(["", *order, "median"], rows)]
    constants = {
        "FORWARD": "forward",
        "GRAPH": "graph",
        "DOUBLE_BACKWARD": "double-backward, reused",
        "FORWARD_OVER_REVERSE": "forward-over-reverse",
        "FINITE_DIFFERENCE": "finite-difference",
        "GAUSS_NEWTON_GRAPHS": "gauss-newton, graphs",
        "GAUSS_NEWTON": "gauss-newton, reused",
    }
    rows = []
    for constant, name in constants.items():
        values = [d["median"][name] for d in found.values()]
        large = [d["median"][name] for n, d in found.items() if n.endswith("-1024")]
        rows.append(
            [f"`{constant}`", getattr(_cost, constant), f"{np.median(values):.2f}",
             f"{min(values):.2f} to {max(values):.2f}", f"{np.median(large):.2f}"]
        )  # fmt: skip
    lines += ["The constants that the package counts with:", ""]
    return lines + table(["constant", "value", "median here", "range", "median at 1024"], rows)


def memory_table(found: dict[str, dict]) -> list[str]:
    if not found:
        return []
    rows = []
    for name, d in found.items():
        size, graph, plain = d["parameters"], d["graph"], d["plain"][0]
        extra = max(0, d["watched"][0] - plain)
        allowed = size + graph
        cells = [f"{size / 1024:.0f}", f"{graph / 1024:.0f}", f"{plain / 1024:.0f}",
                 f"{extra / size:.2f} x, {extra / allowed:.2f}"]  # fmt: skip
        for method in ("double-backward", "forward-over-reverse", "finite-difference",
                       "gauss-newton"):  # fmt: skip
            for start in ("cold", "warm"):
                more = max(0, d[f"{method}, {start}"][0] - plain)
                cells.append(f"{more / allowed:.1f}")
        rows.append([name, *cells])
    head = ["run-batch", "parameters, KiB", "graph, KiB", "plain training's peak, KiB",
            "watch: over parameters; over allowance"]  # fmt: skip
    head += [f"{m} {s}" for m in ("double-backward", "forward-over-reverse", "finite-difference",
                                  "gauss-newton") for s in ("cold", "warm")]  # fmt: skip
    ok = sum(
        max(0, d["watched"][0] - d["plain"][0]) <= d["parameters"] + d["graph"]
        for d in found.values()
    )
    fits = sum(
        max(0, d["double-backward, cold"][0] - d["plain"][0]) <= d["parameters"] + d["graph"]
        for d in found.values()
    )
    return [
        "## Memory above plain training",
        "",
        "Highest level of live tensors above a run that stands between two steps, less that of "
        "plain training. Allowance: the parameters once and one graph of the probe batch. Methods: "
        "one `sharpness` call, over the allowance (1 or less meets the goal).",
        "",
        f"Within the allowance: the watch in {ok} of {len(found)} cases, a cold `sharpness` by "
        f"double backward in {fits}.",
        "",
        *table(head, rows),
    ]


def overhead_table(found: dict[str, dict]) -> list[str]:
    if not found:
        return []
    rows = []
    order = sorted(found, key=lambda n: (*n.split("-")[:2], *map(int, n.split("-")[2:][::-1])))
    for name in order:
        d = found[name]["rows"]
        kind, optimizer, size, steps = name.split("-")
        wall = [100 * (r["wall"] - 1) for r in d]
        rows.append(
            [kind, optimizer, size, steps, found[name]["pairs"],
             f"{np.median([r['milliseconds'] for r in d]):.2f}", d[0]["readings"],
             f"{100 * d[0]['account']:.1f} %", f"{np.median(wall):.1f} %",
             f"{min(wall):.1f} to {max(wall):.1f}",
             f"{100 * (np.median([r['cpu'] for r in d]) - 1):.1f} %",
             "yes" if all(r["identical"] for r in d) else "NO"]
        )  # fmt: skip
    return [
        "## Overhead of a watch at its defaults",
        "",
        "Twin runs that take turns every 25 steps; medians over pairs of twins. Identical: weights "
        "and buffers of both twins agree bit for bit at the end.",
        "",
        *table(
            ["model", "optimizer", "batch", "steps", "pairs", "ms a step", "readings",
             "own account", "wall time", "range", "processor time", "identical"],
            rows,
        ),
    ]  # fmt: skip
