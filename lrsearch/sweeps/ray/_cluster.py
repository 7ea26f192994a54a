"""A Ray cluster: where it is, what one trial takes of it, how to join it and leave it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray

from lrsearch.exceptions import UnsupportedError
from lrsearch.sweeps._events import Listener

LOCAL = "local"  # the address that starts Ray on this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where trials run, and what one of them takes.

    Attributes:
        address: "local" starts Ray on this machine; "auto" or HOST:PORT joins a running cluster.
        workers: Trials at a time; as many as fit by default.
        cpus: CPU cores of one trial.
        gpus: GPUs of one trial; a fraction packs several on one.
        patience: Seconds without a sign of life after which a trial's process is taken for hung.
        retries: Times that a trial whose process died is started again.
        files: Where Tune keeps checkpoints and results: a folder or URI that every node reaches.
    """

    address: str = LOCAL
    workers: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    patience: float | None = 1800.0
    retries: int = 3
    files: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UnsupportedError(f"workers must be a whole number >= 1, got {self.workers!r}.")
        if not (math.isfinite(self.cpus) and self.cpus > 0):
            raise UnsupportedError(f"a trial needs more than 0 CPUs, got {self.cpus!r}.")
        if not (math.isfinite(self.gpus) and (0 <= self.gpus <= 1 or self.gpus == int(self.gpus))):
            raise UnsupportedError(
                f"GPUs of a trial must be a share in [0, 1] or a whole number, got {self.gpus!r}."
            )
        if self.address.startswith("ray://"):
            raise UnsupportedError(
                f"{self.address} is Ray's client, which would leave the study on the cluster: run "
                "this command on a node of the cluster with --ray auto (`ray submit`, `ray job "
                "submit`)."
            )

    @property
    def resources(self) -> dict[str, float]:
        """Of one trial, as Ray counts them."""
        return {"cpu": self.cpus} | ({"gpu": self.gpus} if self.gpus else {})


def slots(cluster: Cluster) -> int:
    """Trials that can run at a time."""
    if cluster.workers is not None:
        return cluster.workers
    have = ray.cluster_resources()
    fit = have.get("CPU", 1.0) / cluster.cpus
    if cluster.gpus:
        fit = min(fit, have.get("GPU", 0.0) / cluster.gpus)
    return max(1, int(fit))


@contextmanager
def connected(cluster: Cluster, listener: Listener) -> Iterator[None]:
    """Ray, started or joined, and left as it was found."""
    if ray.is_initialized():
        _check_room(cluster)
        yield
        return
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if cluster.address == LOCAL:
            cores = os.cpu_count() or 1
            wanted = math.ceil((cluster.workers or 0) * cluster.cpus)
            if wanted > cores:
                listener.note(
                    f"{cluster.workers} trials at a time on {cores} cores: they share them"
                )
            room = {"num_cpus": max(cores, wanted), "include_dashboard": False}
            ray.init(address="local", **room, **quiet)  # never one that happens to run here
        else:
            ray.init(address=cluster.address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        told = (str(error) or repr(error)).splitlines()[0]
        raise UnsupportedError(
            f"cannot reach Ray at {cluster.address!r}: {told}. Start a cluster with `ray start "
            "--head`, or leave the address out to run on this machine."
        ) from error
    try:
        _check_room(cluster)
        yield
    finally:
        ray.shutdown()


def _check_room(cluster: Cluster) -> None:
    """A trial needs one node that has all of it."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    needed = {"CPU": cluster.cpus, "GPU": cluster.gpus}
    if any(all(n.get(name, 0.0) >= much for name, much in needed.items()) for n in nodes):
        return
    asked = " and ".join(f"{much:g} {name}" for name, much in needed.items() if much)
    have = "; ".join(sorted({", ".join(f"{n.get(m, 0.0):g} {m}" for m in needed) for n in nodes}))
    raise UnsupportedError(
        f"a trial asks for {asked}, and no node of the cluster has that much (nodes: {have}): ask "
        "for less (--cpus-per-trial, --gpus-per-trial), or add nodes."
    )
