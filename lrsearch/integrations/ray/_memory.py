"""How many trials fit on one device: measured memory of one trial, and the advice that follows."""

from __future__ import annotations

import resource
from typing import Any

import torch

CUDA_CONTEXT = 0.6  # GiB that every process takes on a GPU beside its tensors; a rule of thumb
HEADROOM = 0.9  # share of a device that trials should fill
GIB = 2.0**30


def begin_memory() -> None:
    """Forget earlier peaks of this process's GPU, where it has one."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def measured_memory(device: str) -> dict[str, float]:
    """Peak memory of this process in GiB: on its GPU (with a CUDA context), and of the host."""
    # Linux counts in KiB. The actor's whole life: a reused actor keeps the largest of its trials.
    found = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.max_memory_reserved() / GIB + CUDA_CONTEXT
        found["gpu_total"] = torch.cuda.mem_get_info()[1] / GIB
    return found


def advice(memory: dict[str, Any] | None, gpus_per_trial: float) -> str | None:
    """One sentence on how many trials fit one GPU; ``None`` where nothing was measured there."""
    if not memory or not memory.get("gpu") or not memory.get("gpu_total"):
        return None
    one, total = float(memory["gpu"]), float(memory["gpu_total"])
    fit = int(HEADROOM * total / one)
    seen = f"one trial took {one:.1f} of {total:.0f} GiB of its GPU"
    if fit < 1:
        return f"{seen}: it hardly fits; use a smaller batch or --gpus-per-trial 1"
    packed = int(1 / gpus_per_trial) if gpus_per_trial > 0 else 1
    if packed > fit:
        return (
            f"{seen}: {packed} of them on one GPU will not fit; --gpus-per-trial "
            f"{fraction(fit):g} packs {fit}"
        )
    if fit > packed:
        return (
            f"{seen}: up to {fit} fit one GPU by memory (--gpus-per-trial {fraction(fit):g}); more "
            "than a few slow each other down"
        )
    return f"{seen}: {packed} on one GPU is what fits"


def fraction(count: int) -> float:
    """The share of a GPU that packs ``count`` trials on it: rounded down, so that they do fit."""
    return int(1e4 / count) / 1e4
