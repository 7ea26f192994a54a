"""The largest Hessian eigenvalue along a run: each reading starts from the last one's vector."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import _metric as metric
from lrsearch.curvature._cost import DOUBLE_BACKWARD, GRAPH
from lrsearch.curvature._hessian import Hessian
from lrsearch.curvature._objective import LossFn
from lrsearch.curvature._sharpness import eigenvalues

COLD, WARM = 6, 2  # products at most: a third tells less than the next reading does
REFRESH = (
    10  # readings after which the start is partly random: the old vector may have lost the top
)
PART = 0.3  # of it
TOP_COST = GRAPH + WARM * DOUBLE_BACKWARD
FIRST_TOP_COST = GRAPH + COLD * DOUBLE_BACKWARD


class TopReader:
    """Reads the top of the spectrum in the optimizer's metric, on one batch at a time.

    Memory between readings: half a copy of the parameters in the host's memory (the vector in
    bfloat16); during one the vectors of `lanczos` and one graph of the batch.

    Args:
        method: How products are taken (see `Hessian`); what ``"auto"`` finds is kept.
    """

    def __init__(self, method: str = "auto") -> None:
        self.method = method
        self.vector: Tensor | None = None
        self.count = 0

    def read(
        self, model: nn.Module, loss_fn: LossFn, batch: Any, optimizer: Optimizer
    ) -> tuple[dict[str, Any], float]:
        """Fields of a reading, and their cost: up to 16 gradients at first, then at most six.

        Raises:
            MeasurementError: If no Hessian-vector product can be taken.
        """
        with Hessian(model, loss_fn, batch, optimizer=optimizer, method=self.method) as hessian:
            start, fresh = self._start(hessian)
            found = eigenvalues(hessian, start=start, max_hvps=COLD if start is None else WARM)
            found = replace(found, cost=hessian.cost)
        self.method = hessian.method
        self.count += 1
        fields: dict[str, Any] = {"top_threshold": metric.threshold(optimizer, full_batch=True)}
        if not (math.isfinite(found.value) and found.steady):
            self.vector = None
            return fields | {"note": found.reason}, found.cost
        self.vector = found.vectors[0].to("cpu", torch.bfloat16)
        fields["top_sharpness"] = found.value
        fields["top_residual"] = found.residual / abs(found.value) if found.value else None
        if start is not None and not fresh:
            fields["top_carried"] = found.quotient
        return fields, found.cost

    def _start(self, hessian: Hessian) -> tuple[Tensor | None, bool]:
        """The last vector, and whether it is partly random this time."""
        if self.vector is None or self.vector.numel() != hessian.size:
            return None, False
        vector = self.vector.to(hessian.device, hessian.dtype)
        fresh = self.count % REFRESH == 0
        return (vector + PART * hessian.random(self.count) if fresh else vector), fresh

    def state_dict(self) -> dict[str, Any]:
        """A tensor and plain values."""
        return {"vector": self.vector, "count": self.count, "method": self.method}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        self.vector, self.count, self.method = state["vector"], state["count"], state["method"]
