"""Two processes under DDP (gloo): the same answer on both, and nobody waits for ever."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.skipif(
        not (dist.is_available() and dist.is_gloo_available()), reason="needs torch with gloo"
    ),
]

SCENE = Path(__file__).with_name("ddp_scene.py")
PATIENCE = 120  # seconds: a run takes five, one that hangs would take for ever


Play = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def play(workshop: Any, tmp_path: Path) -> Play:
    """Plays a scene with two ranks, and returns what each reports."""

    def play(scene: str) -> list[dict[str, Any]]:
        results = [tmp_path / f"rank{rank}.json" for rank in range(2)]
        ranks = [
            workshop.script(SCENE, scene, rank, tmp_path / "rendezvous", result, folder=tmp_path)
            for rank, result in enumerate(results)
        ]
        try:
            codes = [rank.wait(PATIENCE).code for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()
        assert codes == [0, 0], "\n".join(rank.err for rank in ranks)
        return [json.loads(result.read_text()) for result in results]

    return play


def test_measurements_are_those_of_all_data(play: Play) -> None:
    one, other = play("measures")
    assert one["found"] == other["found"]
    for name, value in one["expected"].items():
        assert one["found"][name] == pytest.approx(value, rel=2e-3), name


def test_the_edge_is_that_of_all_data_and_leaves_no_trace(play: Play) -> None:
    one, other = play("calibration")
    assert one["found"] == other["found"]
    assert one["held"] == other["held"] == [15, 5]  # what the shorter loader has
    assert (one["told"], other["told"]) == (len(one["found"]["trace"]), 0)
    for name in ("learning_rate", "proxy_rate", "sharpness"):
        assert one["found"][name] == pytest.approx(one["expected"][name], rel=2e-2), name
    assert one["found"]["cost"] == one["expected"]["cost"]
    for rank in (one, other):
        assert rank["kept"]
        assert all(rank["gradients"])
        assert rank["trained"] == rank["uncalibrated"]
        assert "failed on some ranks" in rank["lacking"]
        assert (
            rank["empty"] == "CalibrationError: the loader has no batch on some rank: give it data."
        )
        assert rank["iterator"].startswith("MeasurementError: ")


def test_both_ranks_read_the_same_and_train_as_if_unwatched(play: Play) -> None:
    one, other = play("watched and alone")
    readings = one["watched"]["readings"]
    assert readings == other["watched"]["readings"] == one["watched"]["kept"]
    assert len(readings) >= 6
    assert other["watched"]["kept"] == []
    assert one["watched"]["losses"] != other["watched"]["losses"]  # their data differ
    for rank in (one, other):
        assert rank["watched"]["losses"] == rank["alone"]["losses"]
        assert rank["watched"]["weights"] == rank["alone"]["weights"]
        assert rank["watched"]["buffers"] == rank["alone"]["buffers"]
    assert one["watched"]["weights"] == other["watched"]["weights"]
    assert all({"sharpness", "batch_loss"} <= r.keys() for r in readings)
    assert sum("top_sharpness" in r for r in readings) >= 2
    pairs = zip(one["watched"]["losses"], other["watched"]["losses"], strict=True)
    means = [sum(pair) / 2 for pair in pairs]
    previous = 0
    for reading in readings:
        since = means[previous : reading["step"]]
        assert reading["loss"] == pytest.approx(sum(since) / len(since), rel=1e-6)
        previous = reading["step"]


@pytest.mark.parametrize("scene", ["stop", "every rank has a host"])
def test_a_stop_on_the_first_rank_ends_both_at_the_same_step(scene: str, play: Play) -> None:
    one, other = play(scene)
    assert one["ended"] == "Stop: as told"
    hosted = scene != "stop"
    told = "RunStopped: the first rank stopped the run: as told"
    assert other["ended"] == ("Stop: as told" if hosted else told)
    assert 10 <= one["steps"] == other["steps"] < 24
    assert len(one["kept"]) == len(one["readings"])
    assert other["kept"] == []  # readings are kept once


def test_a_host_that_fails_does_not_leave_the_others_waiting(play: Play) -> None:
    one, other = play("the host fails")
    assert one["ended"] == "OSError: the storage is gone"
    assert "the first rank's host failed" in other["ended"]
    assert "the storage is gone" in other["ended"]
    assert one["steps"] == other["steps"]


def test_a_loss_that_fails_on_one_rank_costs_both_the_readings(play: Play) -> None:
    one, other = play("one rank fails")
    assert one["ended"] == other["ended"] == "ran to its end"
    assert one["readings"] == other["readings"]
    assert all("sharpness" not in r and "some ranks" in r["note"] for r in one["readings"])


def test_a_look_is_the_mean_over_the_ranks(play: Play) -> None:
    one, other = play("looks")
    assert one["readings"] == other["readings"]
    seen = [r["annealed_validation"] for r in one["readings"] if "annealed_validation" in r]
    means = [sum(pair) / 2 for pair in zip(one["told"], other["told"], strict=True)]
    assert len(seen) >= 2
    assert seen == pytest.approx(means)
    assert one["told"] != other["told"]


def test_a_look_that_is_dear_on_one_rank_is_the_last_on_both(play: Play) -> None:
    """Else one would wait for the other at the next, and by their costs plan other probes."""
    one, other = play("one rank's look is dear")
    assert one["ended"] == other["ended"] == "ran to its end"
    assert len(one["told"]) == len(other["told"]) == 1
    assert one["cost"] == other["cost"]


def test_a_look_that_fails_on_one_rank_costs_both_the_look_alone(play: Play) -> None:
    one, other = play("one rank's look fails")
    assert one["ended"] == other["ended"] == "ran to its end"
    assert one["readings"] == other["readings"]
    assert all("annealed_validation" not in r and "sharpness" in r for r in one["readings"])


@pytest.mark.parametrize("scene", ["one rank draws", "one rank draws late"])
def test_a_loss_that_draws_on_one_rank_is_given_up_by_both(scene: str, play: Play) -> None:
    one, other = play(scene)
    assert one["ended"] == other["ended"] == "ran to its end"
    assert one["readings"] == other["readings"]
    late = [r for r in one["readings"] if r["step"] > 12]
    assert late
    assert all("sharpness" not in r and "some ranks" in r["note"] for r in late)


def test_a_loss_lost_on_one_rank_is_told_by_both_at_the_next_probe(play: Play) -> None:
    one, other = play("one rank's loss is lost")
    assert one["ended"] == other["ended"] == "ran to its end"
    assert one["readings"] == other["readings"]
    early = [r["finite"] for r in one["readings"] if r["step"] <= 9]
    late = [r["finite"] for r in one["readings"] if r["step"] > 9]
    assert early
    assert all(early)
    assert late
    assert not any(late)
    assert all(math.isfinite(r.get("loss", 0.0)) for r in one["readings"])
