"""What each solver took and found at each state, from the recorded iterates."""

import math
from collections.abc import Callable, Iterator

from tables import GAPS, ROW, SETTLED


def hit(values: list[float], truth: float, tolerance: float) -> float:
    """Products until the first estimate within the tolerance: a perfect stop."""
    near = [j for j, v in enumerate(values, 1) if abs(v / truth - 1) <= tolerance]
    return near[0] if near else math.inf


def stop_change(history: dict, tolerance: float) -> tuple[float, int]:
    """PyHessian's: small change of the quotient; returns the one before, as its loop does."""
    values = history["values"]
    for i in range(1, len(values)):
        if abs(values[i - 1] - values[i]) / (abs(values[i - 1]) + 1e-6) < tolerance:
            return values[i - 1], i + 1
    return values[-1], len(values)


def stop_residual(history: dict, tolerance: float) -> tuple[float, int]:
    """EoSS's LOBPCG: relative residual."""
    for i, (v, r) in enumerate(zip(history["values"], history["residuals"], strict=True), 1):
        if r < tolerance:
            return v, i
    return history["values"][-1], len(history["values"])


def stop_both(history: dict, tolerance: float = 1e-4) -> tuple[float, int]:
    """hessian-eigenthings' power iteration: change and residual."""
    values, residuals = history["values"], history["residuals"]
    for i in range(1, len(values)):
        change = abs(values[i] - values[i - 1]) / max(abs(values[i]), 1e-12)
        if change < tolerance and residuals[i] < tolerance:
            return values[i], i + 1
    return values[-1], len(values)


class Prices:
    """Measured prices in gradients, at the probe's batch size."""

    def __init__(self, found: dict[str, dict], size: int = 128) -> None:
        self.of = {
            name.rsplit("-", 1)[0]: d["median"]
            for name, d in found.items()
            if name.endswith(f"-{size}")
        }

    def reused(self, model: str, products: float) -> float:
        p = self.of[model]
        return p["graph"] + products * p["double-backward, reused"]

    def curvlinops(self, model: str, products: float) -> float:
        p = self.of[model]
        return products * p.get("curvlinops product", p["forward-over-reverse"])

    def eigenthings(self, model: str, products: float) -> float:
        p = self.of[model]
        return products * p.get("eigenthings product", p["graph"] + p["double-backward, reused"])


def ours(found: dict[str, dict], kind: str, after: bool | None) -> Iterator[ROW]:
    """Readings at states whose truth is known; ``after``: past the first 20 steps, or not."""
    for name, d in found.items():
        for step, row in d[kind].items():
            if step not in d["truth"] or (kind != "cold" and not row["warm"]):
                continue
            if after is not None and (int(step) > SETTLED) is not after:
                continue
            truth = d["truth"][step]["value"]
            yield {
                "model": name.split("-")[0],
                "optimizer": name.split("-")[1],
                "run": name,
                "step": int(step),
                "hvps": row["hvps"],
                "error": abs(row["value"] / truth - 1),
                "residual": row["residuals"][row["hvps"] - 1],
                "to2": hit(row["values"], truth, 0.02),
                "to1": hit(row["values"], truth, 0.01),
                "row": row,
                "truth": truth,
            }


def tools(tuned: float) -> dict[str, tuple[Callable, str]]:
    """Neighbour -> (its own stop: record -> (value, products) or None, how it is priced)."""

    def lanczos(products: int) -> Callable:
        def found(n: dict) -> tuple[float, int] | None:
            history = n["eigenthings lanczos"]
            return history and (history["values"][products - 1], products)

        return found

    def at(key: str, rule: Callable, *more: float) -> Callable:
        return lambda n: rule(n[key], *more) if key in n else None

    def scipys(key: str) -> Callable:
        return lambda n: (n[key]["value"], n[key]["hvps"])

    found = {
        "PyHessian power, tol 1e-3": (at("power", stop_change, 1e-3), "reused"),
        f"PyHessian power, tol {tuned:g} (tuned)": (at("power", stop_change, tuned), "reused"),
        "eigsh on curvlinops, tol 0": (scipys("eigsh 0"), "curvlinops"),
        "eigsh on curvlinops, tol 1e-2": (scipys("eigsh 0.01"), "curvlinops"),
        "LOBPCG cold, residual 1e-2": (at("lobpcg", stop_residual, 1e-2), "reused"),
        "hessian-eigenthings lanczos, default": (lanczos(2), "eigenthings"),
        "hessian-eigenthings lanczos, 10": (lanczos(10), "eigenthings"),
        "hessian-eigenthings power": (at("power", stop_both), "eigenthings"),
    }
    for gap in GAPS:
        found[f"LOBPCG warm {gap}"] = (at(f"lobpcg warm {gap}", stop_residual, 1e-2), "reused")
        found[f"power warm {gap}, tol 1e-3"] = (
            at(f"power warm {gap}", stop_change, 1e-3),
            "reused",
        )
    return found


def perfect(n: dict, tool: str, truth: float) -> float | None:
    """Products with a perfect stop at 1 %; None where its iterates cannot be seen."""
    if "eigsh" in tool or tool.startswith("hessian-eigenthings lanczos, default"):
        return None
    if "lanczos" in tool:
        return n["eigenthings lanczos"] and hit(n["eigenthings lanczos"]["values"], truth, 0.01)
    key = "power"
    if tool.startswith("LOBPCG"):
        key = "lobpcg"
    if " warm " in tool:
        key += f" warm {tool.split(' warm ')[1].split(',')[0]}"
    return hit(n[key]["values"], truth, 0.01) if key in n else None


def states(found: dict[str, dict]) -> Iterator[tuple[str, str, float, dict]]:
    """Run, step, truth and the neighbours' record."""
    for name, d in found.items():
        for step, n in d["neighbours"].items():
            yield name, step, d["truth"][step]["value"], n


def tuned_tolerance(found: dict[str, dict]) -> tuple[float, int, int]:
    """Loosest tolerance of PyHessian's rule with an error above 1 % in at most 5 % of states."""
    for tolerance in (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6):
        late = [
            abs(stop_change(n["power"], tolerance)[0] / truth - 1) > 0.01
            for _, _, truth, n in states(found)
        ]
        if sum(late) <= 0.05 * len(late):
            break
    return tolerance, sum(late), len(late)
