"""`RankedTrial`: a Tune trial in one of the processes that train it together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray import tune

from lrsearch.curvature import Ranks
from lrsearch.exceptions import RunStopped
from lrsearch.integrations.optuna import VERDICT_KEY
from lrsearch.integrations.ray._relay import pack, unpack
from lrsearch.integrations.ray._trial import RayTrial
from lrsearch.stability import Reading, Verdict

T = TypeVar("T")


class RankedTrial(RayTrial):
    """A `RayTrial` in one rank of several: the first speaks with Tune, and all stop together.

    Every rank calls `report`, and gives its trial to the watch.

    Args:
        config: What Tune gave the trial.
        relay: The actor that carries results to the Tune trial.
        packed_checkpoint: A reference to the packed checkpoint that the trial goes on from.
        resumed_from: Its optimizer steps.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        relay: Any,
        packed_checkpoint: Any = None,
        *,
        resumed_from: int = 0,
    ) -> None:
        super().__init__(config, resumed_from=resumed_from)
        self._relay, self._packed = relay, packed_checkpoint
        self._stopped = False

    @property
    def leads(self) -> bool:
        """Whether this is the first rank."""
        return Ranks.within().rank == 0

    def first(self, decide: Callable[[], T]) -> T:
        """What ``decide`` returns on the first rank, on every rank; every rank must call it."""
        return Ranks.within().decided_by_first(decide)

    def checkpoint(self) -> tune.Checkpoint | None:
        """The checkpoint that this attempt is to go on from, in a folder of this rank's own."""
        if self._packed is None:
            return None
        folder = Path(tempfile.mkdtemp(prefix="lrsearch-"))
        unpack(ray.get(self._packed), folder)
        return tune.Checkpoint.from_directory(folder)

    def emit(self, reading: Reading) -> None:
        """Give a reading to Tune. The watch calls this on the first rank alone."""
        self.keep(reading)
        self._stopped = self._ask({}, None)

    def decide(self, readings: Sequence[Reading]) -> Verdict:
        """Whether Tune has stopped the trial on its last reading, or it is no longer finite."""
        if self._stopped:
            step = readings[-1].step
            reason = f"stopped by Tune's trial scheduler at step {step}"
            return Verdict(stop=True, regime="host", step=step, reason=reason)
        return super().decide(readings)

    def stop(self, verdict: Verdict) -> None:
        """End this rank's part of the trial; every rank is told the same.

        Raises:
            RunStopped: Always.
        """
        if verdict.regime != "host":
            self.set_user_attr(VERDICT_KEY, verdict.to_dict())
            self.first(lambda: self._ask({"done": True}, None))
        raise RunStopped(verdict.reason)

    def report(self, metrics: Mapping[str, Any], *, checkpoint: Any = None) -> None:
        """As in a single process; the first rank's numbers and checkpoint count.

        Raises:
            RunStopped: On every rank, where Tune stops the trial on it.
        """
        if self.first(lambda: self._ask(metrics, checkpoint)):
            raise RunStopped("Tune has stopped this trial")

    def _ask(self, metrics: Mapping[str, Any], checkpoint: Any) -> bool:
        packed = None
        if checkpoint is not None:
            with checkpoint.as_directory() as folder:
                packed = pack(folder)
        return bool(ray.get(self._relay.ask.remote((self.packed(metrics), packed))))
