"""Pages of the report on methods: costs of sweeps, wrong stops, one-shot ways, the curse."""

import math
from collections.abc import Iterable
from typing import Any

import measures
import numpy as np
import raw
from alone import SHARES
from compare import KEPT, path_of
from measures import Costs
from retrain import METHODS, SWEEPS
from table import Table
from until import FINISHED, GAINS

Tables = dict[str, Table]


def number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "never"


def percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %" if math.isfinite(value) else "diverged"


def replayed(found: Tables, workers: int = 1) -> list[Table]:
    """Tables that methods have been replayed on."""
    each = found.values()
    return [t for t in each if any((raw.RAW / t.name).glob(f"*-{workers}.json"))]


def costs(found: Tables, workers: int = 1) -> dict[str, dict[str, list[float]]]:
    """Method -> table -> cost of every sweep until it settled; methods that all of these have."""
    seen: dict[str, dict[str, list[float]]] = {}
    tables = replayed(found, workers)
    for table in tables:
        for path in sorted((raw.RAW / table.name).glob(f"*-{workers}.json")):
            document = raw.load(path)
            own = [float(value) for value in document["settled"]]
            seen.setdefault(document["method"], {})[table.name] = own
    return {method: by for method, by in seen.items() if len(by) == len(tables)}


def quantiles(by_table: Costs) -> list[str]:
    """T50 and T90 with their intervals."""
    cells, qs = [], (0.5, 0.9)
    for q, (low, high) in zip(qs, measures.intervals(by_table, qs), strict=True):
        middle = number(measures.quantile(by_table, q))
        cells.append(f"{middle} ({number(low)} to {number(high)})")
    return cells


def never(by_table: Costs) -> float:
    return float(np.mean([np.mean(np.isinf(v)) for v in by_table.values()]))


def settled(found: Tables, workers: int = 1) -> list[str]:
    """T50 and T90 of every method, the cheapest first."""
    seen = costs(found, workers)
    if not seen:
        return ["Not measured yet."]
    lines = [
        f"Tables: {', '.join(table.name for table in replayed(found, workers))}.",
        "",
        "| method | T50 (95 %) | T90 (95 %) | never | T50 of its worst table |",
        "|---|---|---|---|---|",
    ]
    for method in sorted(seen, key=lambda m: order(seen[m])):
        by = seen[method]
        worst = max(float(np.quantile(v, 0.5, method="inverted_cdf")) for v in by.values())
        lines.append(
            f"| {method} | {' | '.join(quantiles(by))} | {percent(never(by), 0)} "
            f"| {number(worst)} |"
        )
    return lines


def order(by_table: Costs) -> tuple[float, float, float]:
    """By which methods are ranked: T50, then T90, then how many sweeps never settle."""
    at = (measures.quantile(by_table, q) for q in (0.5, 0.9))
    return (*at, never(by_table))  # type: ignore[return-value]


def stops(found: Tables) -> list[str]:
    """Wrong stops and what was saved, by size of the streams."""
    documents = _raw(found, "stops")
    if not documents:
        return ["Not measured yet."]
    sizes = list(documents[0]["sizes"])
    heads = [f"wrong of {n} | saved" for n in sizes]
    lines = [f"| rule | {' | '.join(heads)} | worst table, streams of 16 |"]
    lines.append("|---|" + "---|---|" * len(sizes) + "---|")
    names = documents[0]["sizes"]["16"]
    mean = {n: np.mean([d["sizes"]["16"][n]["wrong"] for d in documents]) for n in names}
    for name in sorted(names, key=lambda n: (mean[n], n)):
        cells = []
        for size in sizes:
            each = [d["sizes"][size][name] for d in documents]
            cells.append(percent(float(np.mean([e["wrong"] for e in each]))))
            cells.append(percent(float(np.mean([e["saved"] for e in each])), 0))
        worst = max(d["sizes"]["16"][name]["wrong"] for d in documents)
        lines.append(f"| {name} | {' | '.join(cells)} | {percent(worst, 0)} |")
    return lines


def alone(found: Tables) -> list[str]:
    """One run alone: hopeless and good ones that have ended by a share of the budget."""
    documents = _raw(found, "alone")
    if not documents:
        return ["Not measured yet."]
    lines = [
        "| rule | by | hopeless runs ended, mean over tables | worst table "
        "| good runs ended, mean over tables | worst table |",
        "|---|---|---|---|---|---|",
    ]
    for name in documents[0]["rules"]:
        for place, share in enumerate(SHARES):
            cells = []
            for kind, worst in (("hopeless", min), ("good", max)):
                each = [d["rules"][name][kind]["ended"][place] for d in documents]
                cells += [percent(float(np.mean(each)), 0), percent(worst(each), 0)]
            lines.append(f"| {name} | {percent(share, 0)} | {' | '.join(cells)} |")
    return lines


def oneshot(found: Tables) -> list[str]:
    """Ways that train once: what they give up against the best cell, and their cost."""
    documents = _raw(found, "oneshot")
    if not documents:
        return ["Not measured yet."]
    lines = [
        "| way | median regret | worst table's | diverged | full runs |",
        "|---|---|---|---|---|",
    ]
    for name in documents[0]["ways"]:
        each = [[float(v) for v in d["ways"][name]["regret"]] for d in documents]
        medians = [float(np.median(v)) for v in each]
        lost = float(np.mean([np.mean(np.isinf(v)) for v in each]))
        cost = float(np.mean([d["ways"][name]["cost"] for d in documents]))
        lines.append(
            f"| {name} | {percent(float(np.median(medians)))} | {percent(max(medians))} "
            f"| {percent(lost, 0)} | {cost:.2f} |"
        )
    return lines


def cursed(found: Tables) -> list[str]:
    """What recommendations give when they are trained anew."""
    documents = {name: raw.path_of(table.name, "fresh") for name, table in found.items()}
    known = {found[n].name: raw.load(p)["cells"] for n, p in documents.items() if p.exists()}
    if not known:
        return ["Not measured yet."]
    lines = [
        "| method | full runs spent | seen in the sweep, over the same cell trained anew "
        "| test loss trained anew, over the best cell's | none yet |",
        "|---|---|---|---|---|",
    ]
    for method in METHODS:
        for cost in map(str, KEPT):
            curse, regret, none = [], [], []
            for table in (t for t in found.values() if t.name in known):
                each = _fresh(table, method, cost, known[table.name])
                none.append(sum(e is None for e in each) / len(each))
                if there := [e for e in each if e is not None]:
                    curse.append(float(np.median([e[0] for e in there])))
                    regret.append(float(np.median([e[1] for e in there])))
            if regret:
                lines.append(
                    f"| {method} | {cost} | {percent(float(np.mean(curse)))} "
                    f"| {percent(float(np.mean(regret)))} | {percent(float(np.mean(none)), 0)} |"
                )
    return lines


def _fresh(
    table: Table, method: str, cost: str, cells: dict[str, Any]
) -> list[tuple[float, float] | None]:
    """Of every sweep: log of seen over fresh validation loss, and log test loss over the best's."""
    label, k = table.best_cell
    floor = _log_mean(cells[f"{label} {k}"]["test"])
    path = path_of(table.name, method, 1)
    found: list[tuple[float, float] | None] = []
    for one in raw.load(path)["recommended"][cost][:SWEEPS]:
        if one is None:
            found.append(None)
            continue
        own = cells[f"{one[0]} {one[1]}"]
        seen = math.log(one[2]) - _log_mean(own["validation"])
        found.append((seen, _log_mean(own["test"]) - floor))
    return found


def _log_mean(losses: Iterable[Any]) -> float:
    return float(np.mean([math.log(float(v)) for v in losses]))


def _raw(found: Tables, name: str) -> list[Any]:
    paths = [raw.path_of(table.name, name) for table in found.values()]
    return [raw.load(path) for path in paths if path.exists()]


def lowest(found: Tables) -> list[str]:
    """Ours by what it recommends, and by the lowest loss that it has seen."""
    both: dict[str, dict[str, list[float]]] = {"settled": {}, "settled_lowest": {}}
    for table in found.values():
        path = path_of(table.name, "ours", 1)
        document = raw.load(path) if path.exists() else {}
        if "settled_lowest" in document:
            for key, by in both.items():
                by[table.name] = [float(value) for value in document[key]]
    if not both["settled"]:
        return ["Not measured yet."]
    lines = ["| recommends | T50 (95 %) | T90 (95 %) | never |", "|---|---|---|---|"]
    for words, by in zip(
        ("what the model expects", "the lowest loss seen"), both.values(), strict=True
    ):
        lines.append(f"| {words} | {' | '.join(quantiles(by))} | {percent(never(by), 0)} |")
    return lines


def until(found: Tables) -> list[str]:
    """Where sweeps end by their outlook, what is left then, and what was foretold."""
    paths = [raw.path_of(table.name, "until") for table in found.values()]
    documents = [raw.load(path) for path in paths if path.exists()]
    if not documents:
        return ["Not measured yet."]
    lines = [
        "| ends when no more is foretold than | full runs, mean | left, mean over tables "
        "| worst table | beyond the tolerance | not ended |",
        "|---|---|---|---|---|---|",
    ]
    for gain in GAINS:
        rows = [d["ended"][str(gain)] for d in documents]
        cost, left, beyond, open_ = (
            np.array([row[key] for row in rows]) for key in ("cost", "left", "beyond", "open")
        )
        lines.append(
            f"| {percent(gain, 0)} | {cost.mean():.1f} | {percent(left.mean())} "
            f"| {percent(left.max())} | {percent(beyond.mean(), 0)} | {percent(open_.mean(), 0)} |"
        )
    lines += ["", "Foretold and left after so many finished runs:", ""]
    lines += [f"| table | {' | '.join(map(str, FINISHED))} |", "|---" * (len(FINISHED) + 1) + "|"]
    for document in documents:
        seen = [document["foretold"].get(str(count)) for count in FINISHED]
        cells = [f"{percent(s[0])}, {percent(s[1])}" if s else "" for s in seen]
        lines.append(f"| {document['table']} | {' | '.join(cells)} |")
    return lines


def branches(found: Tables) -> list[str]:
    """What sharing stable phases would save of our sweeps."""
    documents = _raw(found, "branches")
    if not documents:
        return ["Not measured yet."]
    lines = [
        "| table | constant or WSD | saved by branches, same rate | rates an octave apart |",
        "|---|---|---|---|",
    ]
    for d in documents:
        same, near = (percent(v) for v in d["saved"].values())
        lines.append(f"| {d['table']} | {percent(d['constant or wsd'], 0)} | {same} | {near} |")
    return lines
