"""The replay: costs by hand, truth that no sweep has seen, the same sweep for the same seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest

BUDGET, EVALUATION, READING = 100, 4.0, 2.0  # of the synthetic table


class Fixed:
    """Always the same cell; stops at a rung if it is told to."""

    name, values_lost = "fixed", False

    def __init__(self, shape: str, k: int, stop_at: int | None = None) -> None:
        self.cell, self.stop_at = (shape, 2.0 ** (k / 4)), stop_at

    def begin(self, table: Any, seed: int) -> tuple[optuna.Study, float]:
        return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)), 0.0

    def choose(self, trial: optuna.Trial) -> tuple[str, float]:
        return self.cell

    def looks_at(self, rung: int) -> bool:
        return self.stop_at is not None

    def look(self, trial: optuna.Trial, run: Any, rung: int) -> tuple[bool, float]:
        return rung == self.stop_at, 3.0


def test_a_full_run_costs_one_and_the_best_is_found_at_once(study, table) -> None:
    trace = study.simulate.replay(table, Fixed("linear", -12), seed=0, cost=5.0)
    assert trace.trials == 5
    assert trace.cost == pytest.approx(5.0)
    assert trace.settled(0.05) == pytest.approx(1.0)
    assert trace.stopped == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_stopped_runs_cost_their_steps_and_their_looks(study, table, workers) -> None:
    method = Fixed("linear", -12, stop_at=4)
    trace = study.simulate.replay(table, method, seed=0, cost=3.0, workers=workers)
    each = (20 + 4 * 3.0) / (BUDGET + EVALUATION)
    assert trace.cost == pytest.approx(trace.trials * each)
    assert trace.stopped == trace.trials
    assert trace.settled(0.02) == math.inf
    assert math.ceil(3.0 / each) <= trace.trials < math.ceil(3.0 / each) + workers


def test_workers_side_by_side_have_all_spent_when_the_first_is_done(study, table) -> None:
    trace = study.simulate.replay(table, Fixed("linear", -12), seed=0, cost=1.0, workers=4)
    assert [one.cost for one in trace.recommendations] == pytest.approx([4.0] * 4)
    late = study.simulate.replay(table, Fixed("linear", -12), seed=0, cost=6.0, workers=4)
    assert late.cost == pytest.approx(8.0)


def test_a_diverged_run_costs_the_steps_that_it_took(study, table) -> None:
    trace = study.simulate.replay(table, Fixed("linear", -2), seed=0, cost=1.0)
    assert trace.cost == pytest.approx(trace.trials * 7 / (BUDGET + EVALUATION))
    assert trace.stopped == trace.trials
    assert trace.recommendations == []


def test_a_lost_run_gets_the_loss_that_it_began_with_where_that_is_asked(study, table) -> None:
    class Valued(Fixed):
        values_lost = True

        def begin(self, table: Any, seed: int) -> tuple[optuna.Study, float]:
            self.study, spent = super().begin(table, seed)
            return self.study, spent

    method = Valued("linear", -2)
    study.simulate.replay(table, method, seed=0, cost=0.5)
    assert {t.value for t in method.study.trials} == {2.0}


def test_suggestions_snap_to_the_nearest_recorded_rate(table) -> None:
    assert table.snap("linear", 2.0**-3.1) == ("linear", -12)
    assert table.snap("linear", 1e-9) == ("linear", -28)
    assert table.snap("linear", 1e9) == ("linear", 0)
    with pytest.raises(KeyError, match="no runs of 'rex'"):
        table.snap("rex", 0.1)


def test_truth_is_the_test_split_without_the_seeds_that_were_seen(table) -> None:
    runs = table.runs["linear", -12]
    logs = {seed: math.log(run.test) for seed, run in runs.items()}
    assert table.truth["linear", -12] == pytest.approx(np.mean(list(logs.values())))
    seen, held = table.split(("linear", -12), 5)
    assert sorted(seen + held) == list(range(8))
    assert len(seen) == 4
    assert seen != table.split(("linear", -12), 6)[0]
    assert table.judged(("linear", -12), 5) == pytest.approx(np.mean([logs[s] for s in held]))
    assert table.judged(("linear", -2), 5) == math.inf
    assert table.noise == pytest.approx(0.01, rel=0.3)
    assert table.tolerance() == pytest.approx(0.02)
    assert table.tolerance(0.001) == pytest.approx(2 * math.sqrt(2) * table.noise / math.sqrt(4))


def test_shapes_trained_together_get_different_seeds(table) -> None:
    for sweep in range(4):
        constant = set(table.split(("constant", -18), sweep)[0])
        wsd = set(table.split(("wsd", -18), sweep)[0])
        assert constant
        assert wsd
        assert not constant & wsd


def test_settled_is_no_first_hit(study) -> None:
    def trace(*pairs: tuple[float, float]) -> Any:
        one = study.simulate.Recommendation
        return study.simulate.Trace([one(cost, ("linear", 0), r, 0.5) for cost, r in pairs])

    found = trace((1.0, 0.0), (2.0, 0.5), (3.0, 0.01))
    assert found.settled(0.02) == 3.0
    assert found.at(0.5) is None
    assert [found.at(cost).regret for cost in (1.0, 2.9)] == [0.0, 0.5]
    assert trace((1.0, 0.0), (2.0, 0.5)).settled(0.02) == math.inf
    assert study.simulate.Trace().settled(0.02) == math.inf


@pytest.mark.parametrize("name", ["random", "tpe", "tpe + median", "tpe + hyperband"])
def test_peers_on_the_wide_stream_give_the_same_sweep_for_the_same_seed(study, table, name) -> None:
    parts = study.peers.SAMPLERS_AND_PRUNERS[name]

    def sweep(seed: int) -> Any:
        peer = study.peers.Peer(name, study.peers.Stream("wide"), **parts)
        return study.simulate.replay(table, peer, seed=seed, cost=8.0, workers=2)

    first, again, other = sweep(1), sweep(1), sweep(2)
    assert first == again
    assert first != other
    assert first.trials >= 6


def test_asha_of_ray_stops_what_lags_and_pays_for_its_looks(study, table, load) -> None:
    pytest.importorskip("ray")
    asha = load("asha")

    def sweep(seed: int) -> Any:
        peer = asha.RayAsha("asha", study.peers.Stream("wide"))
        return study.simulate.replay(table, peer, seed=seed, cost=8.0)

    first = sweep(1)
    assert first == sweep(1)
    assert first.stopped > first.trials / 3
    assert first.trials > 12


def test_a_prior_narrows_the_stream(study, table) -> None:
    peer = study.peers.Peer(
        "random", study.peers.Stream("prior", 2.0**-3, ("linear",)), study.peers.random
    )
    trace = study.simulate.replay(table, peer, seed=0, cost=20.0)
    assert {r.cell[0] for r in trace.recommendations} == {"linear"}
    assert all(-18 <= r.cell[1] <= -6 for r in trace.recommendations)
    assert trace.settled(0.05) < 20


def test_ours_pays_for_its_edge_and_its_readings(study, table) -> None:
    families = ("constant", "linear", "wsd")
    with_pruner = study.ours.Ours(families=families)
    trace = study.simulate.replay(table, with_pruner, seed=0, cost=10.0)
    whole = BUDGET + EVALUATION
    assert trace.recommendations[0].cost == pytest.approx(
        (50 + BUDGET + EVALUATION + 11 * READING) / whole, abs=0.05
    )
    blind = study.simulate.replay(
        table, study.ours.Ours(pruner=False, families=families), seed=0, cost=10.0
    )
    assert blind.recommendations[0].cost == pytest.approx((50 + whole) / whole)
    assert blind.settled(0.05) < 10
