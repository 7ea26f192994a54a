"""Tables of what each kind of reading tells, from simulated cadences."""

import math

import numpy as np
from scipy.stats import spearmanr
from tables import CADENCES, percent, table

KINDS = ("full", "forward-only", "batch sharpness", "warm, step batch", "warm, fixed batch",
         "critical", "constant")  # fmt: skip


def estimate(known: list[float | None], cadence: int, extrapolate: bool) -> np.ndarray:
    """What is believed at every step when only every cadence-th reading is taken."""
    found, seen = [], []
    for t, value in enumerate(known):
        if t % cadence == 0 and value is not None and value > 0 and math.isfinite(value):
            seen.append((t, value))
        if not seen:
            found.append(math.nan)
            continue
        at, last = seen[-1]
        if extrapolate and len(seen) > 1 and t > at:
            before, other = seen[-2]
            slope = math.log(last / other) / (at - before)
            last *= math.exp(min(max(slope * (t - at), -math.log(2)), math.log(2)))
        found.append(last)
    return np.array(found)


def regime(rho: np.ndarray) -> np.ndarray:
    return np.digitize(rho, [0.8, 1.2])


def crossing(rho: np.ndarray) -> int | None:
    """First of three steps in a row above the edge."""
    over = rho > 1
    return next((t for t in range(len(rho) - 2) if over[t : t + 3].all()), None)


def price_of(kind: str, d: dict, p64: dict) -> float:
    """Gradients of the training batch that one reading took on average; larger ones pro rata."""
    graph, product, forward = p64["graph"], p64["double-backward, reused"], p64["forward"]
    used = [row[kind][1] for row in d["rows"]] if kind in d["rows"][0] else []
    mean = float(np.mean(used)) if used and used[0] is not None else 0.0
    if kind == "full":
        return d["full_batch"] / d["batch"] * (graph + mean * product)
    if kind == "forward-only":
        return 3 * forward
    if kind == "batch sharpness":
        return d["batches"] * (graph + product)
    if kind == "warm, step batch":
        return graph + mean * product
    if kind == "warm, fixed batch":
        return d["fixed_batch"] / d["batch"] * (graph + mean * product)
    return mean * forward


def simulate(d: dict, kind: str, cadence: int, extrapolate: bool) -> dict[str, float | None]:
    rates = np.array([row["rate"] for row in d["rows"]])
    truth = rates * np.array([row["full"][0] for row in d["rows"]])
    known = (
        [d["rows"][0]["full"][0]] * len(rates)
        if kind == "constant"
        else [row[kind][0] for row in d["rows"]]
    )
    rho = rates * estimate(known, cadence, extrapolate)
    ok = np.isfinite(rho)
    at, seen = crossing(truth), crossing(np.where(ok, rho, 0.0))
    level = float(np.median(rho[ok] / truth[ok]))
    edges = 1.0 if kind.startswith(("full", "warm", "constant")) else d["threshold_small"]
    edges /= 1.0 if edges == 1.0 else d["threshold_full"]
    return {
        "agreement": float(np.mean(regime(rho[ok]) == regime(truth[ok]))),
        "spearman": float(spearmanr(rho[ok], truth[ok]).statistic),
        "level": level,
        "raw": level * edges,
        "matched": float(np.mean(regime(rho[ok] / level) == regime(truth[ok]))),
        "at": at,
        "delay": None if at is None or seen is None else seen - at,
    }


def signals_table(found: dict[str, dict], prices: dict[str, dict]) -> list[str]:
    if not found or not prices:
        return []
    lines = [
        "## What a reading tells",
        "",
        "Against full Lanczos at every step: share of steps in the same regime (rho < 0.8, to 1.2, "
        "above); Spearman; level (median reading over full). `constant` is the control: the first "
        "full reading for ever, so that only the rate is known. Delay of the first crossing in "
        "steps, negative where it is announced too early. Held between readings, or extrapolated "
        "in its logarithm (at most by a factor of two). Forward-only, batch sharpness and critical "
        "rate are normalised by the threshold for noisy gradients, the others by the exact one's: "
        "under AdamW these differ by a large factor, so their levels do. Level matched: divided by "
        "the run's own median level first, which nobody knows beforehand. g per step: "
        "gradients of a training step.",
        "",
    ]
    rows = [
        [name, f"{len(d['rows'])} of {d['planned_steps']}",
         f"{min(r['rate'] for r in d['rows']):.2g} to {max(r['rate'] for r in d['rows']):.2g}",
         simulate(d, "full", 1, False)["at"],
         " / ".join(
             percent(float(np.mean(regime(np.array([r["rate"] * r["full"][0] for r in d["rows"]]))
                                   == k))) for k in range(3))]
        for name, d in found.items()
    ]  # fmt: skip
    lines += table(
        ["run", "steps before it diverged", "rates", "crosses at step", "under / at / over"], rows
    )
    rows = []
    for kind in KINDS:
        for cadence in CADENCES:
            cells: list[object] = []
            cost = []
            for d in found.values():
                p64 = prices.get(f"{d['model']}-64")
                if p64 is None:
                    continue
                price = 0.0
                if kind != "constant":
                    price = price_of(kind, d, p64["median"]) / cadence
                cost.append(price)
            for extrapolate in (False, True):
                runs = [simulate(d, kind, cadence, extrapolate) for d in found.values()]
                delays = [r["delay"] for r in runs if r["delay"] is not None]
                crossings = sum(r["at"] is not None for r in runs)
                cells += [
                    f"{np.median([r['agreement'] for r in runs]):.2f} "
                    f"({min(r['agreement'] for r in runs):.2f})",
                    f"{np.nanmedian([r['spearman'] for r in runs]):.2f}",
                    (f"{np.median(delays):+.0f} ({min(delays):+.0f} to {max(delays):+.0f})"
                     if delays else "-") + f", {len(delays)} of {crossings}",
                ]  # fmt: skip
            held = [simulate(d, kind, cadence, False) for d in found.values()]
            levels = [h["level"] for h in held]
            level = f"{np.median(levels):.2f} ({min(levels):.2f} to {max(levels):.2f})"
            matched = [h["matched"] for h in held]
            match = f"{np.median(matched):.2f} ({min(matched):.2f})"
            rows.append([kind, cadence, f"{np.median(cost):.2f}", level, match, *cells])
            if kind == "constant":
                break
    lines += table(
        ["reading", "every", "g per step", "level", "regime, level matched",
         "held: regime (worst run)", "Spearman", "delay",
         "extrapolated: regime", "Spearman", "delay"],
        rows,
    )  # fmt: skip
    lines += [
        "By run, at every step: regime agreement (with its level matched), level, level of the "
        "curvature itself, Spearman:",
        "",
    ]
    rows = []
    for kind in KINDS[1:]:
        row: list[object] = [kind]
        for d in found.values():
            s = simulate(d, kind, 1, False)
            row.append(
                f"{s['agreement']:.2f} ({s['matched']:.2f}), {s['level']:.2f}, {s['raw']:.2f}, "
                f"{s['spearman']:.2f}"
            )
        rows.append(row)
    return lines + table(["reading", *found], rows)
