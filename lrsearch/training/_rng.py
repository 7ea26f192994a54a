"""The states of the global random generators, as tensors and plain values."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from lrsearch.exceptions import CheckpointError, UnsupportedError


def rng_state() -> dict[str, Any]:
    """States of torch's (CPU, and CUDA once in use), numpy's and Python's global generators.

    Fit for :func:`save_checkpoint`. Asking changes none of them and does not start CUDA.

    Raises:
        UnsupportedError: If numpy's global generator was replaced by another kind.
    """
    numpy = np.random.get_state(legacy=False)
    if numpy["bit_generator"] != "MT19937":
        raise UnsupportedError(
            f"numpy's global generator is a {numpy['bit_generator']}, and a checkpoint can hold "
            "only the MT19937 that numpy starts with: leave it, and use a numpy Generator of "
            "your own instead of np.random.set_bit_generator."
        )
    version, words, gauss = random.getstate()
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if cuda else [],
        "numpy": {
            "key": torch.from_numpy(numpy["state"]["key"].astype(np.int64)),
            "position": int(numpy["state"]["pos"]),
            "has_gauss": int(numpy["has_gauss"]),
            "gauss": float(numpy["gauss"]),
        },
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Put the global generators back, bit for bit, to where :func:`rng_state` found them.

    CUDA states beyond the devices of this machine are left out.

    Raises:
        CheckpointError: If ``state`` did not come from :func:`rng_state`.
    """
    try:
        numpy, python = state["numpy"], state["python"]
        key = numpy["key"].numpy().astype(np.uint32)
        random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
        np.random.set_state(("MT19937", key, numpy["position"], numpy["has_gauss"], numpy["gauss"]))
        torch.set_rng_state(state["torch"])
        devices = torch.cuda.device_count() if state["cuda"] else 0
        for index, device_state in enumerate(state["cuda"][:devices]):
            torch.cuda.set_rng_state(device_state, index)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"these are not states of random generators ({type(error).__name__}: {error}): pass "
            "what rng_state() returned."
        ) from error
