"""Lists of tensors (parameters) as one flat vector on their device, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def working_dtype(tensors: Sequence[Tensor]) -> torch.dtype:
    """Double precision if any tensor has it, else single: half is too coarse for inner products."""
    wide = any(t.dtype == torch.float64 for t in tensors)
    return torch.float64 if wide else torch.float32


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """One vector (n,) in `working_dtype`; always a copy."""
    dtype = working_dtype(tensors)
    dense = [t.detach().to_dense() if t.is_sparse else t.detach() for t in tensors]
    return torch.cat([t.reshape(-1).to(dtype) for t in dense])


def unflatten(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Pieces of a vector (n,) in the shapes and types of ``like``; views where types agree."""
    pieces = torch.split(vector, [t.numel() for t in like])
    return [v.view(t.shape).to(t.dtype) for v, t in zip(pieces, like, strict=True)]
