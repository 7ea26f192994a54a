"""The cluster that a sweep asks for: what makes no sense, and what nobody answers."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("ray")
import ray

from lrsearch.exceptions import UnsupportedError
from lrsearch.sweeps import Silent
from lrsearch.sweeps.ray import Cluster
from lrsearch.sweeps.ray import _cluster as cluster_module
from lrsearch.sweeps.ray._cluster import connected, slots


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "ray://head:10001"}, r"Ray's client.*--ray auto"),
        ({"workers": 0}, "workers must be a whole number >= 1, got 0"),
        ({"cpus": 0.0}, "more than 0 CPUs, got 0.0"),
        ({"gpus": 1.5}, r"a share in \[0, 1\] or a whole number, got 1.5"),
        ({"gpus": float("nan")}, "got nan"),
    ],
)
def test_a_cluster_that_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        Cluster(**options)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("Could not find any running Ray instance.\nA long story.", "Could not find any"),
        ("", r"ConnectionError\(''\)"),
    ],
)
def test_an_address_that_nobody_answers_is_refused_with_a_sentence(
    monkeypatch, said: str, heard: str
) -> None:
    def init(**options: Any) -> None:
        assert options["address"] == "nowhere:6379"
        raise ConnectionError(said)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    words = rf"cannot reach Ray at 'nowhere:6379': {heard}.*`ray start --head`"
    with pytest.raises(UnsupportedError, match=words):
        with connected(Cluster(address="nowhere:6379"), Silent()):
            raise AssertionError("connected to nothing")


HAVE = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("cluster", "fit"),
    [
        (Cluster(), 8),
        (Cluster(cpus=3.0), 2),
        (Cluster(cpus=0.5), 16),
        (Cluster(gpus=0.25), 8),
        (Cluster(gpus=1.0), 2),
        (Cluster(gpus=2.0, cpus=9.0), 1),
        (Cluster(workers=3), 3),
    ],
)
def test_as_many_trials_run_as_fit(monkeypatch, cluster: Cluster, fit: int) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: HAVE)
    assert slots(cluster) == fit


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)


class Session:
    """Ray, as far as joining and leaving it goes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, running: bool) -> None:
        self.calls: list[Any] = []
        monkeypatch.setattr(ray, "is_initialized", lambda: running)
        monkeypatch.setattr(ray, "init", lambda **options: self.calls.append(options))
        monkeypatch.setattr(ray, "shutdown", lambda: self.calls.append("shutdown"))
        alive = [{"Alive": True, "Resources": r} for r in (HAVE, HAVE, {"CPU": 2.0})]
        dead = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
        monkeypatch.setattr(ray, "nodes", lambda: [*alive, dead])
        monkeypatch.setattr(cluster_module.os, "cpu_count", lambda: 4)


@pytest.mark.parametrize(
    ("cluster", "cores", "notes"),
    [
        (Cluster(), 4, []),
        (Cluster(workers=2), 4, []),
        (Cluster(workers=6), 6, ["6 trials at a time on 4 cores: they share them"]),
        (Cluster(workers=3, cpus=1.5), 5, ["3 trials at a time on 4 cores: they share them"]),
    ],
)
def test_on_this_machine_ray_is_started_and_ended(monkeypatch, cluster, cores, notes) -> None:
    session, listener = Session(monkeypatch, running=False), Notes()
    with connected(cluster, listener):
        (options,) = session.calls
    assert (options["num_cpus"], options["include_dashboard"]) == (cores, False)
    assert session.calls[1:] == ["shutdown"]
    assert listener.notes == notes


def test_a_cluster_is_joined_and_left_whatever_happens(monkeypatch) -> None:
    session = Session(monkeypatch, running=False)
    with pytest.raises(KeyError):
        with connected(Cluster(address="auto"), Silent()):
            raise KeyError
    assert session.calls[0]["address"] == "auto"
    assert session.calls[1:] == ["shutdown"]


def test_a_session_of_ones_own_is_left_as_it_was(monkeypatch) -> None:
    session = Session(monkeypatch, running=True)
    with connected(Cluster(), Silent()):
        pass
    assert session.calls == []


@pytest.mark.parametrize("running", [True, False])
def test_a_trial_that_no_node_can_hold_is_refused_and_ray_is_left(monkeypatch, running) -> None:
    session = Session(monkeypatch, running=running)
    with pytest.raises(UnsupportedError, match=r"asks for 1 CPU and 3 GPU, and no node"):
        with connected(Cluster(gpus=3.0), Silent()):
            raise AssertionError("let in")
    assert session.calls[1:] == ([] if running else ["shutdown"])
