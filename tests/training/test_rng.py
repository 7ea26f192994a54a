"""Generator states go through a checkpoint and come back bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrsearch.exceptions import CheckpointError, UnsupportedError
from lrsearch.training import load_checkpoint, rng_state, save_checkpoint, set_rng_state


@pytest.fixture(autouse=True)
def _generators_restored() -> Iterator[None]:
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    yield
    torch.set_rng_state(before[0])
    np.random.set_state(before[1])
    random.setstate(before[2])


def draws() -> list[Any]:
    """Uniform and normal numbers; normals come in pairs, of which a state holds the second."""
    return [
        torch.rand(3).tolist(),
        torch.randn(1).tolist(),
        torch.randn(17).tolist(),
        torch.randperm(9).tolist(),
        np.random.rand(3).tolist(),
        np.random.normal(),
        np.random.randint(2**31, size=700).tolist(),
        [random.random() for _ in range(700)],
        random.gauss(0, 1),
    ]


@pytest.mark.parametrize("spent", [0, 1, 2, 5])
def test_the_round_trip_is_exact(spent: int, tmp_path: Path) -> None:
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    for _ in range(spent):
        draws()
    save_checkpoint(tmp_path / "run.ckpt", {"rng": rng_state()})
    expected = draws()
    assert draws() != expected
    torch.manual_seed(7)
    np.random.seed(8)
    random.seed(9)
    set_rng_state(load_checkpoint(tmp_path / "run.ckpt")["rng"])
    assert draws() == expected


def test_asking_changes_nothing() -> None:
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    expected = draws()
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    rng_state()
    assert draws() == expected


def test_a_state_does_not_follow_its_generator() -> None:
    state = rng_state()
    expected = draws()
    draws()
    set_rng_state(state)
    assert draws() == expected


@pytest.mark.parametrize("missing", ["torch", "cuda", "numpy", "python"])
def test_an_incomplete_state_is_refused(missing: str) -> None:
    state = rng_state()
    del state[missing]
    with pytest.raises(CheckpointError, match=rf"KeyError: '{missing}'.*rng_state\(\)"):
        set_rng_state(state)


def test_a_state_of_another_kind_is_refused() -> None:
    state = {**rng_state(), "torch": torch.zeros(3)}
    with pytest.raises(CheckpointError, match="not states of random generators"):
        set_rng_state(state)


def test_another_kind_of_numpy_generator_is_named() -> None:
    usual = np.random.get_bit_generator()  # type: ignore[attr-defined]
    np.random.set_bit_generator(np.random.PCG64(0))  # type: ignore[attr-defined]
    try:
        with pytest.raises(UnsupportedError, match="is a PCG64"):
            rng_state()
    finally:
        np.random.set_bit_generator(usual)  # type: ignore[attr-defined]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_generators_come_back_too(tmp_path: Path) -> None:
    torch.cuda.manual_seed_all(1)
    torch.rand(3, device="cuda")
    save_checkpoint(tmp_path / "run.ckpt", {"rng": rng_state()})
    expected = torch.randn(8, device="cuda").tolist()
    set_rng_state(load_checkpoint(tmp_path / "run.ckpt")["rng"])
    assert torch.randn(8, device="cuda").tolist() == expected


def test_cuda_states_are_left_out_where_there_is_no_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    state = {**rng_state(), "cuda": [torch.get_rng_state()]}
    expected = draws()
    set_rng_state(state)
    assert draws() == expected
