"""What every test shares: one thread, quiet hosts, and markers that skip with a reason."""

from __future__ import annotations

import os

# Before anything imports numpy or torch: they read it once. Workers of xdist inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

try:
    import torch
except ImportError:  # the pure rooms are tested without it
    torch = None
else:
    torch.set_num_threads(1)

try:
    import optuna
except ImportError:
    pass
else:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    no_gpu = pytest.mark.skip(reason="needs a CUDA device")
    too_slow = pytest.mark.skip(reason="takes minutes; run it with LRSEARCH_SLOW=1")
    has_gpu = torch is not None and torch.cuda.is_available()
    runs_slow = os.environ.get("LRSEARCH_SLOW") == "1"
    for item in items:
        if not has_gpu and item.get_closest_marker("gpu"):
            item.add_marker(no_gpu)
        if not runs_slow and item.get_closest_marker("slow"):
            item.add_marker(too_slow)
