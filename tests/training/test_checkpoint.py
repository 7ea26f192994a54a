"""Checkpoints: what goes in comes out, and what cannot be read says what to do."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lrsearch.exceptions import CheckpointError
from lrsearch.training import load_checkpoint, save_checkpoint


def everything() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "half": torch.randn(3).to(torch.bfloat16),
        "step": 17,
        "huge": 2**200,
        "nan": float("nan"),
        "exact": 0.1 + 0.2,
        "none": None,
        "flags": (True, False),
        "ordered": OrderedDict(b=1, a=2),
        "set": {1, 2},
        "bytes": b"\x00\xff",
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "shape": torch.Size([2, 3]),
        "keys": {3: "three", (1, 2): "pair"},
    }


def same(left: object, right: object) -> bool:
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float) and left != left:
        return right != right
    return type(left) is type(right) and left == right


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    path, state = tmp_path / "deep" / "run.ckpt", everything()
    save_checkpoint(path, state)
    assert same(load_checkpoint(path), state)
    assert os.listdir(path.parent) == ["run.ckpt"]


def test_the_comparison_can_fail() -> None:
    state = everything()
    assert not same(state, {**state, "exact": 0.3})
    assert not same(state, {**state, "half": state["half"] + 1})


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ({"best": np.float64(0.5)}, r"state\['best'\] is a numpy\.float64: convert it with float"),
        ({"a": [1, {"b": np.zeros(2)}]}, r"state\['a'\]\[1\]\['b'\] is a numpy\.ndarray"),
        ({"model": nn.Linear(1, 1)}, r"state\['model'\] is a torch\.nn\.\S*Linear"),
        ({"a": defaultdict(int)}, r"collections\.defaultdict"),
        ({np.int64(3): 1}, r"a key of state is a numpy\.int64"),
        ({"f": len}, "builtin_function_or_method"),
    ],
)
def test_what_could_not_be_loaded_is_refused_before_the_old_file_is_touched(
    state: dict[Any, Any], where: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"step": 1})
    with pytest.raises(CheckpointError, match=where):
        save_checkpoint(path, state)
    assert load_checkpoint(path) == {"step": 1}


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_file_says_delete_it(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, everything())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(CheckpointError, match=r"run\.ckpt.*Delete it: the run starts over"):
        load_checkpoint(path)


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("trapped",)


def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain.ckpt").write_bytes(pickle.dumps(_Trap()))
    torch.save({"format": "lrsearch.checkpoint", "version": 1, "state": _Trap()}, "torch.ckpt")
    for name in ("plain.ckpt", "torch.ckpt"):
        with pytest.raises(CheckpointError, match="Delete it"):
            load_checkpoint(name)
    assert not Path("trapped").exists()


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    path.write_text("just text, no checkpoint")
    with pytest.raises(CheckpointError, match=r"other\.pt.*Delete it"):
        load_checkpoint(path)
    for document in (nn.Linear(1, 1).state_dict(), [1, 2], {"format": "other", "version": 1}):
        torch.save(document, path)
        with pytest.raises(CheckpointError, match=r"other\.pt is not a checkpoint of lrsearch"):
            load_checkpoint(path)


@pytest.mark.parametrize("version", [2, 99, None])
def test_another_version_is_refused(version: int | None, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    torch.save({"format": "lrsearch.checkpoint", "version": version, "state": {}}, path)
    with pytest.raises(CheckpointError, match=f"has version {version}.*update lrsearch"):
        load_checkpoint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint \S*run\.ckpt"):
        load_checkpoint(tmp_path / "run.ckpt")


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_checkpoint_and_leaves_no_scrap(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"step": 1})

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(CheckpointError, match="No space left on device"):
            save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["run.ckpt"]


def test_the_data_are_synced_before_the_name_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def spy(*arguments: Any, name: str = name, original: Any = original) -> Any:
            calls.append(name)
            return original(*arguments)

        monkeypatch.setattr(os, name, spy)
    save_checkpoint(tmp_path / "run.ckpt", {})
    assert calls[:2] == ["fsync", "replace"]


def test_a_path_below_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write the checkpoint"):
        save_checkpoint(tmp_path / "file" / "run.ckpt", {})
