"""What travels in a Tune result, and how it is read at the other end."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ray")
from ray import tune
from ray.tune.utils import flatten_dict

from lrsearch import ScheduleSpace
from lrsearch.integrations.optuna._attributes import reading_key
from lrsearch.integrations.ray import address_of, pairs_of
from lrsearch.integrations.ray._record import plan_in, readings_in
from lrsearch.search import FAMILY, MULTIPLIER, PLAN_KEY
from lrsearch.stability import Reading

SPACE = ScheduleSpace(budget=100, families=("wsd",))
PLAN = SPACE.plan({FAMILY: "wsd", "wsd_cooldown": 0.2, MULTIPLIER: 2.0}, 0.1)
READINGS = [Reading(step=step, learning_rate=0.1, loss=1.0) for step in (10, 20)]
SENT = (
    (reading_key(20), READINGS[1].to_dict()),
    (PLAN_KEY, PLAN.to_dict()),
    (reading_key(10), READINGS[0].to_dict()),
)


@pytest.mark.parametrize("way", ["searcher", "file"])
def test_it_arrives_as_it_was_sent(way: str) -> None:
    """Tune flattens what searchers and trial schedulers see, and writes JSON to its files."""
    result = {"lrsearch": SENT, "loss": 1.0, "nested": {"a": 1}}
    arrived = flatten_dict(result if way == "searcher" else json.loads(json.dumps(result)))
    pairs = pairs_of(arrived)
    assert pairs == SENT
    assert readings_in(pairs) == READINGS
    assert plan_in(pairs) == PLAN


def test_a_result_of_another_training_function_brings_nothing() -> None:
    pairs = pairs_of({"loss": 1.0})
    assert (readings_in(pairs), plan_in(pairs)) == ([], None)


@pytest.mark.parametrize(
    ("path", "root", "address"),
    [
        ("/data/runs/x/trial_1/checkpoint_0", "/data/runs", "/data/runs/x/trial_1/checkpoint_0"),
        ("bucket/x/trial_1/checkpoint_0", "s3://bucket", "s3://bucket/x/trial_1/checkpoint_0"),
        ("bucket/x/checkpoint_0", "gs://bucket/x", "gs://bucket/x/checkpoint_0"),
    ],
)
def test_the_address_of_a_checkpoint_has_the_scheme_of_its_root(path, root, address) -> None:
    assert address_of(SimpleNamespace(path=path), root) == address


def test_a_checkpoint_is_found_again_under_its_address(tmp_path: Path) -> None:
    (tmp_path / "run.pt").write_text("weights")
    first = tune.Checkpoint.from_directory(tmp_path)
    for root in (str(tmp_path.parent), f"file://{tmp_path.parent}"):
        again = tune.Checkpoint(address_of(first, root))
        with again.as_directory() as folder:
            assert (Path(folder) / "run.pt").read_text() == "weights"
