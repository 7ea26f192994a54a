"""A Tune trial that spans several workers: Ray Train inside, all ranks stopping together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray import tune

from lrsearch.exceptions import RunStopped, UnsupportedError
from lrsearch.integrations.ray._relay import STOPPED, Relay, pack, pump

OVER = threading.Event()  # in a Tune trial's process: no ranks train
OVER.set()
PLACE: dict[str, Any] = {}  # in a training worker: its relay, and the checkpoint to go on from
# Trials that wait for room must not take it for an error after a minute, as Ray Train does.
START_TIMEOUT = ("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(7 * 24 * 3600))
# Of the Tune trial, which only waits: no CPU at all, or workers that need the last one never start.
ITSELF = [{"memory": 2**20}]
GRACE = 60.0  # seconds that ranks have to end in, once Tune has stopped their trial


def data_parallel(
    function: Callable[[dict[str, Any]], Any],
    *,
    workers: int,
    use_gpu: bool = False,
    cpus_per_worker: float = 1.0,
    backend: str | None = None,
    storage_path: str | None = None,
) -> Any:
    """A trainable whose trials are trained by several workers with DDP.

    ``function(config)`` runs on every worker, written as for one process: with
    `lrsearch.ray.trial`, `edge` and `watch` of the wrapped model
    (``ray.train.torch.prepare_model``), and ``trial.report`` and ``trial.checkpoint()`` instead of
    Tune's, which do not work there. Readings are the same on all ranks, and where Tune stops the
    trial all of them end at the same step with `exceptions.RunStopped`; let it pass. What they do
    last (a ``finally``) is waited for: up to a minute, or ten seconds where the experiment ends.

    A Tune trial itself takes next to nothing, and its workers start when all of them fit: trials
    beyond the cluster's room wait, and cannot block each other.

    Args:
        function: The training function.
        workers: Processes of one trial.
        use_gpu: Whether each has a GPU of its own.
        cpus_per_worker: CPU cores of each.
        backend: Of torch.distributed; nccl with GPUs and gloo without by default.
        storage_path: For Ray Train's own bookkeeping: a place that all nodes reach.

    Raises:
        UnsupportedError: If ``workers`` is no whole number >= 1.
    """
    if not isinstance(workers, int) or workers < 1:
        raise UnsupportedError(f"workers must be a whole number >= 1, got {workers!r}.")

    def train_ranks(config: dict[str, Any]) -> None:
        with one_trial():
            span(config)

    def span(config: dict[str, Any]) -> None:
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        os.environ.setdefault(*START_TIMEOUT)
        relay = ray.remote(num_cpus=0)(Relay).remote()
        checkpoint, packed = tune.get_checkpoint(), None
        if checkpoint is not None:
            with checkpoint.as_directory() as folder:
                packed = ray.put(pack(folder))

        def loop(place: dict[str, Any]) -> None:
            run_rank(function, config, place)

        trainer = TorchTrainer(
            loop,
            train_loop_config={"relay": relay, "packed_checkpoint": packed},
            torch_config=TorchConfig(backend=backend or ("nccl" if use_gpu else "gloo")),
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=use_gpu,
                resources_per_worker={"CPU": cpus_per_worker} | ({"GPU": 1} if use_gpu else {}),
            ),
            run_config=RunConfig(
                name=f"train-{tune.get_context().get_trial_id()}", storage_path=storage_path
            ),
        )
        thread = threading.Thread(target=pump, args=(relay,), name="relay", daemon=True)
        thread.start()
        try:
            trainer.fit()
        finally:
            ray.get(relay.close.remote())
            thread.join()

    train_ranks.__mixins__ = (WaitsForRanks,)  # type: ignore[attr-defined]
    return tune.with_resources(train_ranks, tune.PlacementGroupFactory(ITSELF))


class WaitsForRanks:
    """What a stopped trial still does: wait for its ranks, which would end with its process.

    Tune puts it before its own class for training functions (``__mixins__``).
    """

    def cleanup(self) -> None:
        """Tune stops the trial, or it has ended."""
        STOPPED.set()
        try:
            super().cleanup()  # type: ignore[misc]
        finally:
            OVER.wait(GRACE)


# Functions of this module, so that every process has its own events and its own `PLACE`.


@contextmanager
def one_trial() -> Iterator[None]:
    """While ranks train; where Tune has stopped the trial meanwhile there is nothing to report."""
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", str(round(GRACE)))  # reuse_actors
    STOPPED.clear()
    OVER.clear()
    try:
        yield
    finally:
        OVER.set()
    if STOPPED.is_set():
        raise SystemExit(0)  # as Tune ends the thread of a training function


def run_rank(
    function: Callable[[dict[str, Any]], Any], config: dict[str, Any], place: dict[str, Any]
) -> None:
    """One rank's part."""
    PLACE.update(place)
    with suppress(RunStopped):  # Tune has stopped the trial, or been told why it stops
        function(config)
