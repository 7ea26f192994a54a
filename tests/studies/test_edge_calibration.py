"""The study of edges: its grid, its definitions, and its results out again."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lrsearch.curvature._shift import MULTIPLIER, OFF

STUDY = Path(__file__).parents[2] / "studies" / "edge_calibration"


def curve(place: int, *, best: float, cliff: float = math.inf) -> float:
    """A parabola in log loss, 0.1 per octave squared, up to a cliff."""
    return math.inf if place >= cliff else 0.1 * ((place - best) / 4) ** 2 - 1.0


@pytest.mark.parametrize(("best", "cliff"), [(-9.0, math.inf), (30.0, 36), (-31.0, -29)])
def test_the_grid_finds_the_best_rate_from_afar(calibration, best, cliff):
    rates, values = calibration("rates"), {}
    while places := rates.wanted(values, 0, reach=4, fine=True):
        assert not set(places) & set(values)
        values |= {k: curve(k, best=best, cliff=cliff) for k in places}
    finite = [k for k in values if math.isfinite(values[k])]
    nearest = min(finite, key=lambda k: values[k])
    assert abs(nearest - min(best, cliff - 1)) <= 1
    assert {nearest - 1, nearest + 1} <= set(values)
    assert min(values) <= nearest - 12
    if cliff == math.inf:
        assert rates.lowest(values) == pytest.approx(best, abs=1e-6)


def ladder(calibration, *, best: float, short: float, optimizer: str):
    """A task best at ``best`` octaves, whose runs of 40 steps are best ``short`` above that."""
    ladders, specs = calibration("ladders"), calibration("specs")

    def runs(octave: float, places: range) -> dict:
        found = {}
        for k in places:
            loss = math.exp(curve(k, best=4 * octave))
            found[k] = [{"loss": loss, "course": [loss], "readings": []}] * 4
        return found

    lengths = {
        "full 500": runs(best, range(-60, 20)),
        "slow 40": runs(best + short, range(-60, 20, 4)),
    }
    return ladders.Ladder(specs.Spec("fashion", "mlp", 8, optimizer, 64), 0.1, lengths)


@pytest.mark.parametrize(
    ("optimizer", "memory"), [("sgd", 1.0), ("momentum", 10.0), ("adam", 10.0)]
)
def test_what_momentum_adds_to_short_runs_is_taken_off(calibration, optimizer, memory):
    definitions = calibration("definitions")
    extra = math.log2(1 + definitions.MEMORY * memory / 40)
    task = ladder(calibration, best=-3.3, short=extra, optimizer=optimizer)
    found = definitions.annealed("slow 40", factor=definitions.MEMORY)(task, 0)
    assert found.octave == pytest.approx(-3.3, abs=1e-6)
    assert task.best == pytest.approx(-3.3, abs=1e-6)
    assert 3 * 40 < found.cost < 8 * 45


def test_one_multiplier_for_tasks_that_are_shifted_alike(calibration):
    definitions, transfer = calibration("definitions"), calibration("transfer")
    plain = definitions.annealed("slow 40")
    tasks = [
        ladder(calibration, best=best, short=0.7, optimizer="sgd") for best in (-2.0, -4.1, -5.4)
    ]
    octaves = transfer.multiplier(tasks, plain)
    assert octaves == pytest.approx(-0.7, abs=1e-6)
    found = transfer.spread([transfer.off(task, plain, octaves) for task in tasks])
    assert found.rms == pytest.approx(0.0, abs=1e-6)
    assert found.regret < 1e-3  # snapped to quarter octaves
    worse = transfer.spread([transfer.off(task, plain, octaves + 1) for task in tasks])
    assert worse.rms == pytest.approx(1.0, abs=1e-6)
    assert worse.regret == pytest.approx(0.1, abs=0.02)
    assert worse.low < worse.rms < worse.high


def test_development_and_evaluation_share_no_data_set(calibration):
    specs = calibration("specs")
    development = {spec.data for spec in specs.DEVELOPMENT}
    assert not development & {spec.data for spec in specs.EVALUATION}
    assert len({spec.name for spec in (*specs.DEVELOPMENT, *specs.EVALUATION)}) >= 24


def test_the_report_comes_out_again(calibration, monkeypatch, tmp_path):
    report = calibration("report")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.md")
    report.main()
    assert report.RESULTS.read_text() == (STUDY / "results.md").read_text()


def test_a_multiplier_carries_over_where_the_edge_moves_with_the_best_rate(calibration):
    definitions, pairs = calibration("definitions"), calibration("pairs")
    plain = definitions.annealed("slow 40")
    small = ladder(calibration, best=-2.0, short=0.5, optimizer="sgd")
    large = ladder(calibration, best=-4.25, short=0.5, optimizer="sgd")
    by_edge = pairs.moved(pairs.by_edge(plain), small, large)
    assert by_edge.octaves == pytest.approx([0.0] * 4, abs=1e-6)
    assert by_edge.regrets == pytest.approx([0.0] * 4, abs=1e-6)
    raw = pairs.moved(pairs.by_rate, small, large)
    assert raw.octaves == pytest.approx([2.25], abs=1e-6)
    assert raw.regrets == pytest.approx([0.1 * 2.25**2], abs=1e-6)
    assert pairs.by_batch(small, large) == pytest.approx([-2.0])  # the same batch size


def test_the_cliff_is_the_highest_rate_under_which_every_seed_lives(calibration):
    limits = calibration("limits")
    task = ladder(calibration, best=-3.0, short=0.0, optimizer="sgd")
    assert limits.cliff(task, "full 500") == math.inf
    for place, lost in ((6, 1), (10, 4)):
        runs = [dict(run) for run in task.lengths["full 500"][place]]
        for run in runs[:lost]:
            run["loss"] = None
        task.lengths["full 500"][place] = runs
    assert limits.cliff(task, "full 500") == 5 / 4


def test_a_feature_that_says_it_all_beats_its_control(calibration):
    features = calibration("features")
    octaves = features.np.linspace(-1.0, 1.0, 14)
    assert features.unseen(3.0 * octaves + 2.0, octaves) < 0.15
    assert features.unseen(features.np.zeros(14), octaves) > 0.6
    rng = features.np.random.default_rng(1)
    assert features.unseen(rng.permutation(octaves), octaves) > 0.5


def test_the_frozen_constants_come_out_again_and_are_those_that_ship(calibration):
    freeze, ladders = calibration("freeze"), calibration("ladders")
    known = ladders.recorded(calibration("specs").DEVELOPMENT)
    found = freeze.frozen()
    assert found == {
        "constants": freeze.constants(),
        "multipliers": freeze.fitted(known),
        "hash": freeze.digest(known),
    }
    for steps, shipped in MULTIPLIER.items():
        measured = 2.0 ** found["multipliers"][f"ours, {steps} steps"][freeze.ALL]
        assert shipped == pytest.approx(measured, abs=0.006)
    assert set(MULTIPLIER) == set(OFF)
