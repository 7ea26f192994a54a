"""Checkpoints on disk: tensors and plain containers, replaced in one stroke, loaded as data."""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor, nn

from lrsearch.exceptions import CheckpointError

_FORMAT = "lrsearch.checkpoint"
_VERSION = 1

# What torch.load(weights_only=True) gives back unchanged. Exact types: numpy.float64 is a float,
# yet cannot be loaded.
_LEAVES = {type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size}
_TENSORS = {Tensor, nn.Parameter}
_SEQUENCES = {list, tuple, set}
_MAPPINGS = {dict, OrderedDict}


def save_checkpoint(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write ``state`` to ``path``, in one stroke: a reader finds the old file or the new one.

    The folder is made if it is missing. The data are on the disk, not in a cache, on return.

    Args:
        path: The file to write or replace.
        state: Tensors, numbers, strings and None in dicts, lists, tuples and sets.

    Raises:
        CheckpointError: If the state holds something that could not be loaded again (the
            message says where), or the file cannot be written.
    """
    _check_plain(state, "state")
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(scratch, "xb") as file:
            torch.save({"format": _FORMAT, "version": _VERSION, "state": state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, target)
        _sync_folder(target.parent)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise CheckpointError(
            f"cannot write the checkpoint {target}: {error}. Check the folder's permissions and "
            "the space on its disk."
        ) from error
    finally:
        with suppress(OSError):  # gone already, or the error above tells why it cannot go
            scratch.unlink()


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state that :func:`save_checkpoint` wrote, with every tensor on the CPU.

    Nothing in the file is executed.

    Raises:
        CheckpointError: If the file is missing, damaged, not a checkpoint of lrsearch, or
            written by a newer version.
    """
    try:
        with open(path, "rb") as file:
            document = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no checkpoint {path}: start the run from its beginning."
        ) from error
    except PermissionError as error:
        raise CheckpointError(f"may not read the checkpoint {path}: {error}.") from error
    except Exception as error:  # torch raises some ten types on damaged or foreign files
        raise CheckpointError(
            f"cannot read the checkpoint {path}: it is damaged, or not a checkpoint "
            f"({type(error).__name__}). Delete it: the run starts over."
        ) from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of lrsearch. Choose another path, or delete the file: "
            "the run starts over."
        )
    version = document.get("version")
    if version != _VERSION:
        raise CheckpointError(
            f"the checkpoint {path} has version {version!r}, and this lrsearch reads {_VERSION}: "
            "update lrsearch, or delete the file: the run starts over."
        )
    state: dict[str, Any] = document["state"]
    return state


def _check_plain(value: object, where: str) -> None:
    kind = type(value)
    if kind in _LEAVES or kind in _TENSORS:
        return
    if kind in _MAPPINGS:
        assert isinstance(value, dict)
        for key, item in value.items():
            _check_plain(key, f"a key of {where}")
            _check_plain(item, f"{where}[{key!r}]")
    elif kind in _SEQUENCES:
        assert isinstance(value, (list, tuple, set))
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    else:
        raise CheckpointError(
            f"a checkpoint holds tensors and plain Python values, but {where} is a "
            f"{kind.__module__}.{kind.__qualname__}: convert it with float(), int(), "
            "torch.as_tensor() or its state_dict() before saving."
        )


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself durable, where the system lets a folder be synced (POSIX)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
