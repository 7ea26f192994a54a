"""The instrument itself: what is committed comes out again, to the last digit that is printed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

METHODS = (
    "oracle",
    "ours",
    "tpe [wide]",
    "random + halving [edge]",
    "1 rung, then 3 [prior]",
)
FUNCTION = "fashion_sgd"
FEW = 3


@pytest.fixture(scope="module")
def judge(load) -> Any:
    for package in ("pyarrow", "matplotlib"):
        pytest.importorskip(package)
    names = (
        "raw",
        "tasks",
        "alone",
        "regimes",
        "beliefs",
        "features",
        "lags",
        "learned",
        "freeze",
        "methods",
        "compare",
        "stops",
        "streams",
        "forecasts",
        "report",
    )
    return SimpleNamespace(**{name: load(name) for name in names})


@pytest.fixture(scope="module")
def recorded(judge) -> Any:
    (table,) = judge.raw.recorded([FUNCTION]).values()
    return table


@pytest.mark.parametrize("method", METHODS)
def test_committed_sweeps_come_out_again(judge, recorded, method: str) -> None:
    committed = judge.raw.load(judge.compare.path_of(recorded.name, method, 1))
    sweep = judge.methods.methods(judge.freeze.frozen(), "sgd")[method]
    for seed in range(FEW):
        trace = sweep(recorded, seed=seed, cost=judge.compare.COST, workers=1)
        settled = trace.settled(committed["tolerance"])
        assert settled == pytest.approx(float(committed["settled"][seed]), abs=1e-4)
        assert trace.trials == committed["trials"][seed]
        assert trace.stopped == committed["stopped"][seed]


def test_committed_wrong_stops_come_out_again(judge, recorded) -> None:
    committed = judge.raw.load(judge.raw.path_of(recorded.name, "stops"))
    rule, count = judge.stops.rules()["3 rungs, then 5, averaged"], committed["streams"]
    seen = [
        judge.streams.outcome(recorded, rule, 8, seed, committed["tolerance"])
        for seed in range(count)
    ]
    row = committed["sizes"]["8"]["3 rungs, then 5, averaged"]
    assert sum(s.wrong for s in seen) / count == pytest.approx(row["wrong"])
    assert sum(s.saved for s in seen) / count == pytest.approx(row["saved"], abs=1e-4)


def test_constants_follow_from_the_development_tables_alone(judge) -> None:
    constants = judge.freeze.frozen()
    assert judge.freeze.digest(constants) == constants["hash"]
    assert judge.freeze.refitted() == constants


def test_what_the_package_believes_of_shapes_is_what_the_development_tables_say(judge) -> None:
    tables = list(judge.raw.recorded(judge.tasks.DEVELOPMENT).values())
    assert judge.beliefs.given_up(tables) == judge.beliefs.shipped()


def test_what_is_left_of_a_lag_is_what_the_development_tables_say(judge) -> None:
    tables = list(judge.raw.recorded(judge.tasks.DEVELOPMENT).values())
    assert judge.lags.left(tables) == judge.lags.MEASURED


def test_looks_of_other_runs_stop_the_wrong_ones(judge, recorded) -> None:
    """The negative control: what a look tells is of the run that it was taken of."""
    rules, tolerance = judge.stops.rules(), recorded.tolerance()

    def wrong_and_saved(name: str) -> tuple[float, float]:
        seen = [judge.streams.outcome(recorded, rules[name], 8, s, tolerance) for s in range(30)]
        return sum(s.wrong for s in seen) / 30, sum(s.saved for s in seen) / 30

    own, foreign = map(
        wrong_and_saved, ("ours, runs compared", "ours, runs compared by looks of others")
    )
    assert own[0] < foreign[0]
    assert own[1] > foreign[1]


def test_the_report_is_what_the_raw_results_say(judge) -> None:
    assert judge.report.results() == (judge.raw.HERE / "results.md").read_text()
    for path in judge.report.READMES:
        text = path.read_text()
        inside = text.split(judge.report.BEGIN)[1].split(judge.report.END)[0]
        assert inside.strip() == "\n".join(judge.report.headline()).strip()


def test_linear_forecasts_come_out_again(judge, recorded) -> None:
    committed = judge.raw.load(judge.features.PATH)["development"]["4"]
    pairs = [judge.features.columns(t, 4) for t in judge.raw.recorded(["fashion_adam"]).values()]
    own, ends = pairs[0]
    assert np.std(ends) == pytest.approx(committed["nothing"]["fashion-adam"], abs=1e-4)
    rest = ends - own[judge.features.AVERAGED]
    committed_rest = committed["averaged weights, as they are"]["fashion-adam"]
    assert np.std(rest) == pytest.approx(committed_rest, abs=1e-4)


def test_the_control_gives_every_run_the_curvature_of_another(judge, recorded) -> None:
    columns, _ = judge.features.columns(recorded, 4)
    own, other = columns["rho"], columns["rho of another"]
    assert sorted(own) == sorted(other)
    assert np.mean(own == other) < 0.05


def test_what_ends_alone_comes_out_again(judge, recorded) -> None:
    committed = judge.raw.load(judge.raw.path_of(recorded.name, "alone"))
    assert judge.alone.measured(recorded)["rules"] == committed["rules"]


def test_what_runs_are_said_to_be_doing_comes_out_again(judge, recorded) -> None:
    committed = judge.raw.load(judge.raw.path_of(recorded.name, "regimes"))
    assert judge.regimes.measured(recorded) == {k: v for k, v in committed.items() if k != "table"}


def test_the_learnt_rule_tells_apart_what_can_be_told(judge) -> None:
    """Two kinds of runs that differ in one reading, and by nothing where it is shuffled."""
    rng = np.random.default_rng(0)
    hopeless = np.arange(400) % 2 == 0
    seen = rng.standard_normal((400, 3))
    blind = judge.learned.Runs(seen.copy(), hopeless, np.full(400, 1 / 200))
    seen[:, 1] += 6 * hopeless
    sighted = judge.learned.Runs(seen, hopeless, np.full(400, 1 / 200))
    for runs, least, most in ((sighted, 0.98, 1.0), (blind, 0.0, 0.2)):
        score = judge.learned.Rule([runs]).score(runs.seen)
        limit = judge.learned._limit({"a": runs}, {"a": score})
        caught, wrong = runs.stopped(score > limit)
        assert least <= caught <= most
        assert wrong <= judge.learned.WRONG
