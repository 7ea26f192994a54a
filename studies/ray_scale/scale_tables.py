"""Tables of the thousand-trial runs and of the searcher called without Ray."""

import re
from typing import Any

import common
import numpy as np
from scale import ARMS

BASE = {"whole": "random whole", "cut": "random cut"}
KINDS = ("memory", "journal", "sqlite", "wal", "optuna")
Run = dict[str, Any]


def runs(prefix: str, trials: int) -> list[tuple[str, int, Run]]:
    """All recorded runs of this many trials: arm, round, record."""
    found = []
    for arm in ARMS:
        for turn in range(20):
            record = common.read(f"{prefix}-{trials}-{arm.replace(' ', '-')}-{turn}")
            if record is not None:
                found.append((arm, turn, record))
    return found


def rate(run: Run, first: int = 0, last: int | None = None) -> float:
    """Trials a second between two ends; without start-up."""
    ended = run["ended_s"][first:last]
    return (len(ended) - 1) / (ended[-1] - ended[0])


def windows(run: Run) -> list[float]:
    """Trials a second in windows of 100."""
    n = len(run["ended_s"])
    return [rate(run, first, first + 101) for first in range(0, n - 50, 100)]


def together(run: Run, other: Run) -> float:
    """Trials that ended over the other's, while both arms ran."""
    clocks = [np.array(r["ended_s"]) + r["begun_at"] for r in (run, other)]
    first, last = max(c[0] for c in clocks), min(c[-1] for c in clocks)
    mine, theirs = (int(((c >= first) & (c <= last)).sum()) for c in clocks)
    return mine / theirs


def driver_ms(run: Run) -> float:
    """Processor time of the driver for one trial, everything included."""
    return 1e3 * run["driver_cpu_s"] / run["trials"]


def spread(values: list[float], form: str = ".2f") -> str:
    """All values of the rounds."""
    return " / ".join(f"{v:{form}}" for v in values) or "-"


def throughput(prefix: str, trials: int) -> list[str]:
    seen = runs(prefix, trials)
    records = {(arm, turn): run for arm, turn, run in seen}
    lines = [
        "| arm | results a trial | trials/s | over random, together | slowest, fastest 100 "
        "| driver CPU ms a trial | over random, same round | load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arm in ARMS:
        mine = {turn: run for (name, turn), run in records.items() if name == arm}
        if not mine:
            continue
        base = BASE["cut" if arm.endswith("cut") else "whole"]
        both = [(run, records[base, t]) for t, run in mine.items() if (base, t) in records]
        group = list(mine.values())
        pieces = [w for run in group for w in windows(run)]
        lines.append(
            f"| {arm} | {np.mean([r['results'] / r['trials'] for r in group]):.1f} "
            f"| {spread([rate(r) for r in group])} | {spread([together(a, b) for a, b in both])}"
            f" | {min(pieces):.2f} to {max(pieces):.2f} "
            f"| {spread([driver_ms(r) for r in group], '.1f')} "
            f"| {spread([driver_ms(a) / driver_ms(b) for a, b in both])} "
            f"| {spread([np.mean(r['load']) for r in group], '.0f')} |"
        )
    return lines


def calls(prefix: str, trials: int) -> list[str]:
    labels = (
        "suggest",
        "searcher result",
        "searcher complete",
        "searcher save",
        "scheduler result",
        "scheduler choose",
        "controller result",
    )
    lines = ["| arm | " + " | ".join(labels) + " |", "|---" * (len(labels) + 1) + "|"]
    for arm in ARMS:
        group = [run for name, _, run in runs(prefix, trials) if name == arm]
        if not group:
            continue
        cells = []
        for label in labels:
            seen = [run["calls"][label] for run in group if label in run["calls"]]
            number = sum(s["calls"] for s in seen)
            if not number:
                cells.append("-")
                continue
            cpu = 1e3 * sum(s["cpu_s"] for s in seen) / number
            wall = 1e3 * sum(s["total_s"] for s in seen) / number
            cells.append(f"{cpu:.3g} ({wall:.3g})")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return lines


def latency(prefix: str, trials: int) -> list[str]:
    """Suggestions in Ray: median of 50 before the trial."""
    at = [n for n in (100, 500, 1000) if n <= trials]
    lines = ["| arm | " + " | ".join(f"trial {n}" for n in at) + " |"]
    lines.append("|---" * (len(at) + 1) + "|")
    for arm in ARMS:
        group = [run for name, _, run in runs(prefix, trials) if name == arm]
        if not group:
            continue
        cells = []
        for n in at:
            last = np.array([pair for run in group for pair in run["suggest_ms"][n - 50 : n]])
            wall, cpu = np.median(last, axis=0)
            cells.append(f"{cpu:.2f} ({wall:.2f})")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return lines


def memory_and_snapshots(prefix: str, trials: int) -> list[str]:
    lines = [
        "| arm | driver MiB at the start | after 100 | after 500 | at the end "
        "| KiB a trial, 100 to end | last snapshot, ms | its bytes a trial: Tune's state, searcher "
        "| snapshots | study on disk, bytes a trial |",
        "|---" * 10 + "|",
    ]
    for arm, turn, run in runs(prefix, trials):
        grown = grown_kib(run)
        held, last = run["memory"], run["snapshots"][-1]
        at = [next((m for _, n, m in held if n >= k), held[-1][2]) for k in (100, 500)]
        state, other = snapshot_bytes(last)
        lines.append(
            f"| {arm} ({turn + 1}) | {held[0][2]:.0f} | {at[0]:.0f} | {at[1]:.0f} "
            f"| {held[-1][2]:.0f} | {grown:.1f} | {last['ms']:.0f} "
            f"| {state / trials:.0f}, {other / trials:.0f} | {len(run['snapshots'])} "
            f"| {run['storage_bytes'] / trials:.0f} |"
        )
    return lines


def grown_kib(run: Run) -> float:
    """Memory of the driver that a trial adds: least squares over samples after trial 100."""
    later = [(n, m) for _, n, m in run["memory"] if n >= 100]
    if len({n for n, _ in later}) < 3:
        return float("nan")
    return 1024 * float(np.polyfit(*zip(*later, strict=True), 1)[0])


def snapshot_bytes(snapshot: dict[str, Any]) -> tuple[int, int]:
    """Of Tune's own state, and of the searcher's."""
    kinds = snapshot["bytes"]
    state = sum(size for kind, size in kinds.items() if re.match("experiment|trial", kind))
    return state, sum(kinds.values()) - state


def direct() -> list[str]:
    lines = [
        "| study | trials | suggest, CPU ms (wall) | result | complete | save, ms | saved bytes "
        "| study on disk, bytes | process MiB |",
        "|---" * 9 + "|",
    ]
    for kind in KINDS:
        record = common.read(f"direct-{kind}")
        for p in record["points"] if record else []:
            cells = [
                f"{p[f'{w}_cpu_ms']:.3g} ({p[f'{w}_ms']:.3g})"
                for w in ("suggest", "result", "complete")
            ]
            lines.append(
                f"| {kind} | {p['trials']:,} | " + " | ".join(cells) + f" | {p['save_ms']:.0f} "
                f"| {p['save_bytes']:,} | {p['storage_bytes']:,} | {p['resident_mib']:.0f} |"
            )
    return lines
