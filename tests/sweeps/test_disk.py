"""Checkpoints: within their quota, and gone when nobody needs them."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import torch
from torch import nn

from lrsearch.integrations.optuna import edge_key, store_edge
from lrsearch.search import ScheduleSpace
from lrsearch.stability import Edge
from lrsearch.sweeps import Silent, best_weights, open_storage, open_study, sweep
from lrsearch.sweeps._disk import Quota, size_of, tidy
from lrsearch.sweeps._lease import Lease
from lrsearch.training import Task, load_checkpoint, tensor_stream

BUDGET = 20
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)


def task(folder: Path, seen: list[set[str]], evaluate=None) -> Task:
    def loss(model, batch):
        if model.training:
            seen.append({p.name for p in folder.glob("trial-*.pt")})
        return model(batch[0]).square().mean()

    return Task(
        name="line",
        model=lambda: nn.Linear(4, 1),
        loss=loss,
        stream=tensor_stream(X, X, batch_size=16),
        evaluate=evaluate or (lambda model: float(model(X).square().mean())),
        optimizer=lambda model, rate: torch.optim.SGD(model.parameters(), lr=rate),
        budget=BUDGET,
    )


def run(tmp_path: Path, evaluate=None, trials: int = 2, **options):
    url, seen, heard = f"journal:///{tmp_path}/s.log", [], Heard()
    folder = tmp_path / "runs"
    made = open_study(open_storage(url, create=True), "s", direction="minimize", create=True)
    store_edge(made, edge_key("line", ""), Edge.known(0.1))
    result = sweep(
        task(folder, seen, evaluate),
        ScheduleSpace(BUDGET),
        storage=url,
        study_name="s",
        trials=trials,
        folder=folder,
        listener=heard,
        **options,
    )
    left = {p.name for p in folder.iterdir() if p.suffix != ".lock"}
    return result.study, seen, heard.notes, left


@pytest.mark.parametrize("quota", [None, 10**9])
def test_within_the_quota_every_trial_has_a_checkpoint(tmp_path: Path, quota) -> None:
    study, seen, notes, left = run(tmp_path, disk_quota=quota)
    assert set.union(*seen) == {"trial-00000.pt", "trial-00001.pt"}
    assert notes == []
    assert left == {"best.pt"}
    best = load_checkpoint(best_weights(tmp_path / "runs"))
    assert (best["trial"], best["metric"]) == (study.best_trial.number, study.best_value)
    model = nn.Linear(4, 1)
    model.load_state_dict(best["model"])
    assert float(model(X).square().mean()) == study.best_value


def test_beyond_it_training_goes_on_without(tmp_path: Path) -> None:
    study, seen, notes, left = run(tmp_path, trials=3, disk_quota=100)
    assert set.union(*seen) == set()
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 3
    assert [n for n in notes if "disk quota of 100 bytes is used up" in n] == notes
    assert len(notes) == 1
    assert left == {"best.pt"}


def test_what_failed_leaves_no_checkpoint(tmp_path: Path) -> None:
    values = iter([0.5, float("nan")])

    def evaluate(model):
        return next(values)  # the third one raises

    study, seen, _, left = run(tmp_path, evaluate, trials=3)
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE", "PRUNED", "FAIL"]
    assert len(set.union(*seen)) == 3
    assert left == {"best.pt"}


def test_a_trial_that_has_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    notes: list[str] = []
    (tmp_path / "other").write_bytes(b"x" * 1000)
    quota = Quota(tmp_path, 1100, notes.append)
    mine, next_one = tmp_path / "trial-00000.pt", tmp_path / "trial-00001.pt"
    assert quota.allows(mine)
    mine.write_bytes(b"x" * 100)
    quota.written(mine)
    assert mine.exists()
    mine.write_bytes(b"x" * 200)  # what it has grown to
    quota.written(mine)
    assert mine.exists()
    assert not quota.allows(next_one)
    mine.unlink()
    assert quota.allows(next_one)  # 1000 and the largest one seen fit
    next_one.write_bytes(b"x" * 300)
    quota.written(next_one)
    assert not next_one.exists()
    assert not quota.allows(next_one)
    assert len(notes) == 1
    assert size_of(tmp_path) == 1000


def test_a_start_deletes_what_ended_trials_have_left(tmp_path: Path) -> None:
    study = optuna.create_study()
    for _ in range(4):
        study.ask()
    for number in (0, 1, 3):
        study.tell(number, 0.5)
    names = ["trial-00000.pt", ".trial-00001.pt.77-ab.tmp", ".trial-00001.weights.77-ab.tmp"]
    stay = ["trial-00002.pt", "trial-00003.pt", "trial-00009.pt", "best.pt", "mine.pt"]
    for name in names + stay:
        (tmp_path / name).touch()
    with (other := Lease(tmp_path, 3)):  # of another study in the same folder
        assert other.acquire()
        tidy(tmp_path, study)
    assert {p.name for p in tmp_path.iterdir() if p.suffix != ".lock"} == set(stay)
