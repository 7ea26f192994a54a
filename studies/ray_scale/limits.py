"""What limits 10,000 trials on 100 nodes: arithmetic from the measured parts, as text."""

import common
import numpy as np
from scale_tables import Run, driver_ms, grown_kib, runs, snapshot_bytes
from synthetic import RESULTS

TRIALS = 10_000
SLOTS = (4, 100, 400)
FEWER = 300  # trials of the rounds with storages, and with ASHA as it is used


def _line(points: list[tuple[float, float]]) -> tuple[float, float]:
    slope, offset = np.polyfit(*zip(*points, strict=True), 1)
    return float(offset), float(slope)


def _suggest(kind: str) -> tuple[float, float] | None:
    """Processor milliseconds of a suggestion: constant, and for every trial before it."""
    record = common.read(f"direct-{kind}")
    if record is None:
        return None
    points = np.array([(p["trials"], p["suggest_cpu_ms"]) for p in record["points"]])
    b, a = np.polyfit(*points.T, 1, w=1 / points[:, 1])  # relative errors
    return float(a), float(b)


def _rest(run: Run) -> float:
    """Driver's processor milliseconds a trial without suggestions and without start-up."""
    busy = run["calls"]["suggest"]["cpu_s"]
    return driver_ms(run) - 1e3 * busy / run["trials"]


def limits(trials: int) -> list[str]:
    whole = [run for arm, _, run in runs("scale", trials) if arm == "ours memory"]
    line = _suggest("memory")
    if not whole or line is None:
        return ["Not run yet."]
    rest = float(np.mean([_rest(run) for run in whole]))
    cut = [run for arm, _, run in runs("scale", FEWER) if arm == "ours cut"]
    lines = [
        "Driver time of trial n with R results, in processor milliseconds: "
        "**D(n, R) = c + r R + a + b n**; one driver serves W slots as long as "
        "**W / T <= 1 / D(n, R)**, T being a run's length. So the shortest run that keeps W slots "
        "busy is T = W D.",
        "",
        f"- a + b n, the suggestion: {line[0]:.2f} + {line[1]:.5f} n (study in the driver).",
        f"- c + {RESULTS} r, everything else of a trial, Tune's own work and its snapshots "
        f"included: {rest:.1f}.",
    ]
    if cut:
        fewer = float(np.mean([_rest(run) for run in cut]))
        number = float(np.mean([run["results"] / run["trials"] for run in cut]))
        each = (rest - fewer) / (RESULTS - number)
        lines.append(
            f"- From the arm that ASHA cuts ({number:.1f} results a trial, {fewer:.1f}): "
            f"r = {each:.2f} a result, c = {rest - RESULTS * each:.1f} a trial."
        )
    at = {n: rest + line[0] + line[1] * n for n in (1, 1_000, TRIALS)}
    lines += [
        "",
        "| slots | " + " | ".join(f"shortest run at trial {n:,}, s" for n in at) + " |",
        "|---" * (len(at) + 1) + "|",
    ]
    for slots in SLOTS:
        cells = " | ".join(f"{slots * d / 1e3:.1f}" for d in at.values())
        lines.append(f"| {slots} | {cells} |")
    lines.append("")
    for arm in ("ours journal", "ours sqlite"):
        for _, _, run in [found for found in runs("scale", FEWER) if found[0] == arm]:
            wall = run["calls"]["searcher result"]["mean_ms"]
            lines.append(
                f"- {arm}, {FEWER} trials: D = {driver_ms(run):.0f} ms of processor, so "
                f"{0.1 * driver_ms(run):.1f} s with 100 slots; and it waits: a result takes "
                f"{wall:.0f} ms by the wall here."
            )
    summed = (line[0] * TRIALS + line[1] * TRIALS**2 / 2) / 1e3
    lines += [
        f"- All suggestions of {TRIALS:,} trials together: {summed:.0f} s of the driver; "
        f"everything else {rest * TRIALS / 1e3:.0f} s.",
        "- " + _snapshot(whole),
        "- " + _memory(whole),
        "- " + _storage(),
    ]
    return lines


def _snapshot(group: list[Run]) -> str:
    points = [(s["trials"], s["ms"]) for run in group for s in run["snapshots"]]
    size = [(s["trials"], sum(snapshot_bytes(s))) for run in group for s in run["snapshots"]]
    (a, b), (_, bytes_each) = _line(points), _line(size)
    took = (a + b * TRIALS) / 1e3
    return (
        f"A snapshot takes {b:.2f} ms and {bytes_each / 1e3:.1f} kB a trial known: at {TRIALS:,} "
        f"{took:.0f} s and {bytes_each * TRIALS / 1e6:.0f} MB, in which the driver does nothing "
        f"else. Tune spaces them 19 times their time apart (5 % of the driver), here "
        f"{19 * took:.0f} s: so much a killed driver forgets where the study lives in it. With a "
        "storage it forgets nothing."
    )


def _memory(group: list[Run]) -> str:
    grown = float(np.mean([grown_kib(run) for run in group]))
    return f"Memory: {grown:.0f} KiB a trial, so {grown * TRIALS / 2**20:.1f} GiB at {TRIALS:,}."


def _storage() -> str:
    found = []
    for kind in ("sqlite", "journal"):
        record = common.read(f"direct-{kind}")
        if record is None:
            continue
        first, last = record["points"][0], record["points"][-1]
        found.append(
            f"{kind} {first['result_cpu_ms']:.2f} ms of processor ({first['result_ms']:.2f} by the "
            f"wall) a result, at {last['trials']:,} trials {last['result_cpu_ms']:.2f} "
            f"({last['result_ms']:.2f})"
        )
    return "Study storage, written by the driver alone: " + "; ".join(found) + "."
