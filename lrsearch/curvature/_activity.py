"""How many activations are next to zero, as forward passes go by."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

SMALL = 0.01  # of the module's root mean square
# Every activation of torch.nn stands in this module, beside attention and softmax.
HOME = "torch.nn.modules.activation"
NOT = (nn.MultiheadAttention, nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)


class Activity:
    """Context that watches the outputs of a model's activation modules.

    Functions such as ``torch.relu`` cannot be watched; nor are modules of a user's own, unless they
    derive from one of torch's. A module that a forward pass uses several times has other units each
    time.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._modules = {
            name: module
            for name, module in model.named_modules()
            if any(kind.__module__ == HOME for kind in type(module).__mro__)
            and not isinstance(module, NOT)
        }
        self._small = dict.fromkeys(self._modules, 0)
        self._all = dict.fromkeys(self._modules, 0)
        self._uses = dict.fromkeys(self._modules, 0)  # in this forward pass
        self._alive: dict[tuple[str, int, int], Tensor] = {}
        self._handles: list[Any] = []

    def begin(self, *_: object) -> None:
        """A forward pass begins."""
        self._uses = dict.fromkeys(self._modules, 0)

    def __enter__(self) -> Self:
        self._handles.append(self._model.register_forward_pre_hook(self.begin))
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def sparsity(self) -> dict[str, float]:
        """Share of activations next to zero, of every module that was used."""
        return {n: self._small[n] / self._all[n] for n in self._modules if self._all[n]}

    @property
    def dead(self) -> float | None:
        """Share of units that were next to zero on every example."""
        units = list(self._alive.values())
        total = sum(alive.numel() for alive in units)
        return sum(int((~alive).sum()) for alive in units) / total if total else None

    def _hook(self, name: str) -> Any:
        @torch.no_grad()
        def seen(module: nn.Module, args: Any, output: Any) -> None:
            if not isinstance(output, Tensor) or not output.numel() or output.dim() == 0:
                return
            size = output.detach().abs()
            small = size <= SMALL * size.float().pow(2).mean().sqrt()
            self._small[name] += int(small.sum())
            self._all[name] += small.numel()
            # Channels of images (n, c, h, w) and volumes; of everything else the last dimension.
            at = 1 if small.dim() in (4, 5) else small.dim() - 1
            alive = (~small).transpose(0, at).reshape(small.shape[at], -1).any(1)
            key = (name, self._uses[name], alive.numel())
            self._uses[name] += 1
            self._alive[key] = self._alive[key] | alive if key in self._alive else alive

        return seen
