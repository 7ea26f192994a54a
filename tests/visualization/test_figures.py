"""The figures of a study say what the leaderboard says, in numbers."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest

from lrsearch.exceptions import MissingExtraError, StudyMismatchError, UnsupportedError
from lrsearch.integrations.optuna import best_schedule, recommended
from lrsearch.stability import Edge
from lrsearch.sweeps import leaderboard, savings, total_cost
from lrsearch.visualization import (
    plot_calibration,
    plot_forecasts,
    plot_multipliers,
    plot_progress,
    plot_schedules,
    plot_trial,
    save_figure,
)

FIGURES = [plot_multipliers, plot_schedules, plot_progress, plot_forecasts]
EVERY = [*FIGURES, plot_trial, plot_calibration]


def traces(figure: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for trace in figure.data:
        found.setdefault(trace.name, []).append(trace)
    return found


def points(trace: Any) -> list[tuple[Any, Any]]:
    return list(zip(trace.x, trace.y, strict=True))


def text_of(figure: Any) -> str:
    return " ".join([figure.layout.title.text, *(a.text for a in figure.layout.annotations)])


# Multipliers


@pytest.mark.parametrize("x", ["multiplier", "peak"])
def test_every_trial_stands_at_its_rate_by_family_or_by_what_ended_it(book, x) -> None:
    figure = plot_multipliers(book.study, x=x)
    board = leaderboard(book.study)
    done = board[board["state"] == "complete"]
    for family, rows in done.groupby("family"):
        drawn = traces(figure)[family][0]
        assert sorted(points(drawn)) == sorted(zip(rows[x], rows["metric"], strict=True))
    cut = {p for name in set(board["family"]) for t in traces(figure)[name][1:] for p in points(t)}
    factor = 1.0 if x == "multiplier" else 0.1
    assert {(round(at / factor, 6), kind) for at, kind in cut} == {
        (8.0, "diverged"), (1 / 8, "far below the edge"), (1.5, "behind"), (1.0, "failed"),
    }  # fmt: skip
    (ring,) = traces(figure)[f"recommended: trial {recommended(book.study).number}"]
    assert points(ring) == [(factor, 0.2)]
    assert figure.layout.xaxis.type == "log"


def test_families_differ_in_colour_and_in_symbol(book) -> None:
    named = [t for t in plot_multipliers(book.study).data if t.legendgroup in ("cosine", "linear")]
    looks = {(t.legendgroup, t.marker.color, t.marker.symbol.removesuffix("-open")) for t in named}
    assert len({c for _, c, _ in looks}) == len({s for _, _, s in looks}) == len(looks) == 2


def test_the_shading_tells_what_training_did_at_these_rates(book) -> None:
    figure = plot_multipliers(book.study)
    bands = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    low, high = (10.0**end for end in figure.layout.xaxis.range)
    cuts = [low, math.sqrt(1 / 4 * 1 / 2), math.sqrt(2.0 * 8.0), high]  # below, at, diverged
    assert [(b.x0, b.x1) for b in bands] == [pytest.approx(pair) for pair in pairwise(cuts)]
    names = [t.name for t in figure.data if t.legendgroup == "bands"]
    assert [n.partition(":")[0] for n in names] == [
        "below the edge", "at the edge", "diverged or dead (1)",
    ]  # fmt: skip
    assert names[0].endswith("(3)")


def test_large_values_may_be_the_good_ones(make_book) -> None:
    made = make_book(direction="maximize")
    made.study.set_user_attr("lrsearch:task", {"metric": "accuracy"})
    for place, value in enumerate((0.5, 0.9, 0.7)):
        made.add(value, 2.0**place)
    figure = plot_multipliers(made.study)
    assert figure.layout.yaxis.title.text == "accuracy (larger is better)"
    assert figure.layout.yaxis.type == "linear"
    (best,) = traces(plot_progress(made.study))["best so far"]
    assert list(best.y) == [0.5, 0.9, 0.9, 0.9]
    assert plot_schedules(made.study, count=1).data[0].name.startswith("recommended: trial 1,")


# Schedules


def test_the_leaders_schedules_the_recommended_one_thick(book) -> None:
    figure = plot_schedules(book.study, count=3)
    lines = {t.name: t for t in figure.data}
    assert sorted(name.partition(",")[0] for name in lines) == [
        "recommended: trial 3", "trial 2", "trial 4",
    ]  # fmt: skip
    thick = next(t for name, t in lines.items() if name.startswith("recommended"))
    assert thick.line.width > 2 * max(t.line.width for t in lines.values() if t is not thick)
    schedule = best_schedule(book.study)
    assert points(thick) == [(s, schedule(s)) for s in range(schedule.budget + 1)]
    assert len({t.line.dash for t in lines.values()}) == 3
    with pytest.raises(UnsupportedError, match="count"):
        plot_schedules(book.study, count=0)


def test_what_averaged_weights_act_like_is_dotted(make_book) -> None:
    made = make_book()
    made.add(0.1, family="swa")
    dotted = plot_schedules(made.study).data[-1]
    assert dotted.line.dash == "dot"
    assert list(dotted.y) == list(best_schedule(made.study).effective_values())


def test_a_tuner_with_too_few_readings_is_left_out(make_book) -> None:
    made = make_book()
    made.add(0.1, family="cdat")
    made.add(0.2, family="linear")
    figure = plot_schedules(made.study)
    assert [t.name.partition(",")[0] for t in figure.data] == ["trial 1"]
    assert "left out" in figure.layout.title.text


# One trial


def test_a_trials_signals_over_its_steps(book) -> None:
    figure = plot_trial(book.study)  # the recommended one
    lines = traces(figure)
    seen = range(10, 201, 10)
    assert points(lines["training loss"][0]) == [(s, 2.0 * 0.98**s) for s in seen]
    assert list(lines["of averaged weights,<br>validation"][0].x) == [20, 40, 80]
    assert list(lines["rate x sharpness / threshold"][0].y) == [1.0] * 20
    assert list(lines["gradient norm"][0].y) == [1.0] * 20
    (strip,) = lines["at the edge"]
    assert (strip.base, strip.x) == ((0,), (200,))
    assert "trial 3, complete, objective 0.2" in figure.layout.title.text


def test_a_stopped_trial_is_marked_where_it_was_stopped(book) -> None:
    figure = plot_trial(book.study, 5)
    (mark,) = [s for s in figure.layout.shapes if s.yref == "paper"]
    assert mark.x0 == mark.x1 == 40
    assert "stopped: diverged" in text_of(figure)
    assert "diverged: at step 40" in figure.layout.title.text


def test_a_trial_without_readings_says_so(book) -> None:
    figure = plot_trial(book.study, 8)
    assert "no readings" in text_of(figure)
    assert "ValueError: a &lt;b&gt;bad&lt;/b&gt; trial" in figure.layout.title.text
    with pytest.raises(StudyMismatchError, match="no trial 99"):
        plot_trial(book.study, 99)


# Calibration


def test_the_calibration_shows_its_runs_and_the_edge(book) -> None:
    lines = traces(plot_calibration(book.study))
    assert points(lines["a short annealed run"][0]) == [(0.04, 2.0), (0.16, 1.0), (0.64, 0.5)]
    assert list(lines["diverged"][0].x) == [2.56]
    assert list(lines["edge, multiplier 1: 0.1"][0].x) == [0.1, 0.1]
    assert list(lines["best rate of short runs: 0.25"][0].x) == [0.25, 0.25]


def test_an_edge_is_chosen_by_its_key(make_book) -> None:
    made = make_book()
    made.calibrated(key=("width", 32))
    made.calibrated(Edge.known(0.3, optimizer="SGD"), key=("width", 64))
    both = plot_calibration(made.study)
    assert "SGD width 32" in traces(both)
    one = plot_calibration(made.study, key=("width", 64))
    assert "given, not measured" in one.layout.title.text
    with pytest.raises(StudyMismatchError, match=r'"width", 32'):
        plot_calibration(made.study, key=("width", 16))


# Progress


def test_cost_against_the_best_so_far_and_what_stops_saved(book) -> None:
    figure = plot_progress(book.study)
    (best,) = traces(figure)["best so far"]
    assert list(best.y[:-1]) == [0.9, 0.8, 0.3, 0.2, 0.2]
    assert list(best.x[:-1]) == [1.5, 2.5, 3.5, 4.5, 5.5]  # half a run for the edge
    assert best.x[-1] == pytest.approx(total_cost(book.study) + 0.5)
    bars = {t.name: t.x[0] for t in figure.data if t.type == "bar"}
    assert bars == {"diverged": 0.8, "far below the edge": 0.7, "behind": pytest.approx(0.6)}
    assert {s.kind: s.trials for s in savings(book.study)} == dict.fromkeys(bars, 1)
    whole = best.x[-1] + sum(bars.values())
    assert f"without stops they would have cost {whole:.1f}" in figure.layout.title.text


def test_every_calibration_is_counted_once(make_book) -> None:
    made = make_book()
    made.calibrated(key=16)
    made.calibrated(key=32)  # the same rate
    made.calibrated(replace(made.edge, learning_rate=0.7), key=64)  # of a trial that failed early
    made.add(0.5)
    made.add(0.4)
    (best,) = traces(plot_progress(made.study))["best so far"]
    assert list(best.x) == [2.5, 3.5, 3.5]


# Forecasts


def test_what_averaged_weights_promised_against_the_end(book) -> None:
    figure = plot_forecasts(book.study)
    headings = [a.text for a in figure.layout.annotations if "of the budget" in a.text]
    assert len(headings) == 3  # 5 % is sooner than the first look
    assert all("rank correlation 0.90" in heading for heading in headings)
    first = [t for t in figure.data if t.xaxis in (None, "x") and t.name == "cosine"]
    assert points(first[0]) == [(0.4, 0.2), (1.5, 0.9)]


def test_a_perfect_order_is_one_also_where_large_is_good(make_book) -> None:
    made = make_book(direction="maximize")
    for place in range(5):
        made.add(0.5 + 0.1 * place, seen=made.readings(1.0, look=2.0 - 0.2 * place))
    assert "rank correlation 1.00" in text_of(plot_forecasts(made.study))


# All of them


@pytest.mark.parametrize("draw", EVERY)
def test_a_study_without_trials_has_a_sentence(draw) -> None:
    figure = draw(optuna.create_study(study_name="a <b>new</b> one"))
    assert not figure.data
    assert "a &lt;b&gt;new&lt;/b&gt; one" in figure.layout.title.text
    (said,) = figure.layout.annotations
    assert "yet" in said.text


@pytest.mark.parametrize("draw", EVERY)
@pytest.mark.parametrize("kind", ["one", "failed", "no plan", "infinite"])
def test_odd_studies_are_drawn_or_said(make_book, draw, kind) -> None:
    made = make_book()
    if kind == "one":
        made.add(0.5)
    elif kind == "failed":
        made.add(None, error="OSError: no disk")
    elif kind == "no plan":
        made.add(0.5, None)
    else:
        made.add(math.inf, 2.0)
        made.add(0.5, 1.0)
    figure = draw(made.study)
    assert figure.data or figure.layout.annotations
    figure.to_json()


@pytest.mark.parametrize("draw", FIGURES)
def test_of_several_objectives_one_is_named(make_book, draw) -> None:
    made = make_book(directions=["minimize", "maximize"])
    for place in range(4):
        made.add([0.1 * place, 1.0 * place], 2.0**place)
    with pytest.raises(StudyMismatchError, match="pass objective=0 to 1"):
        draw(made.study)
    with pytest.raises(StudyMismatchError, match="no objective 2"):
        draw(made.study, objective=2)
    assert draw(made.study, objective=1).layout.title.text
    with pytest.raises(StudyMismatchError, match="plot_trial"):
        plot_trial(made.study)
    assert plot_trial(made.study, 0).data


def test_what_cannot_be_is_said(book, monkeypatch) -> None:
    with pytest.raises(UnsupportedError, match="'multiplier' or 'peak'"):
        plot_multipliers(book.study, x="edge")
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lrsearch\[viz\]'"):
        plot_multipliers(book.study)


def test_a_page_needs_no_network_and_a_picture_kaleido(book, tmp_path: Path, monkeypatch) -> None:
    figure = plot_progress(book.study)
    save_figure(figure, tmp_path / "new" / "page.html")
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "<script src=" not in page
    assert "best so far" in page
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="kaleido"):
        save_figure(figure, tmp_path / "page.png")
    with pytest.raises(UnsupportedError, match=r"page\.txt"):
        save_figure(figure, tmp_path / "page.txt")
