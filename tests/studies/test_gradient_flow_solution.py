"""The study of gradient-flow solutions: its integrators are right, and its scripts run."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from lrsearch.testing import scalar_flow_sharpness, scalar_gradient, scalar_hessian

STUDY = Path(__file__).parents[2] / "studies" / "gradient_flow_solution"
STARTS = [[1.5, 1.2, 0.8, 0.6], [2.0, 0.6], [12.5, 0.05, 0.05, 0.05], [-3.0, -0.5, 0.5]]
KEPT = ("scalar", "regression", "alarms", "networks", "proxies")


# Scalar networks, many at once.


def test_many_scalar_networks_are_the_oracle_s(solutions) -> None:
    flows = solutions("flows")
    for depth in (2, 3, 6):
        w = flows.starts(depth, 1.0, 20, np.random.default_rng(depth))
        assert ((w.prod(axis=1) > 0.05) & (w.prod(axis=1) < 2.5)).all()
        rows = w.tolist()
        np.testing.assert_allclose(
            flows.flow_sharpness(w), [scalar_flow_sharpness(row) for row in rows], rtol=1e-12
        )
        np.testing.assert_allclose(
            flows.gradient(w), [scalar_gradient(row) for row in rows], rtol=1e-9, atol=1e-12
        )
        tops = [torch.linalg.eigvalsh(scalar_hessian(row))[-1].item() for row in rows]
        np.testing.assert_allclose(flows.sharpness_of(w), tops, rtol=1e-9)
    assert np.isnan(flows.flow_sharpness(np.array([[1.0, -1.0], [0.0, 1.0]]))).all()


def test_a_cell_counts_what_it_says(solutions) -> None:
    scalar = solutions("scalar")
    found = scalar.cell(3, 0.4, 40, 200)
    assert found["violations"] == 0
    assert found["left"] + found["converged"] <= 40
    assert found["left"] > 0
    assert found["tame_left"] == 0
    assert found["largest_end"] <= 2


def test_signs_that_flip_in_pairs_let_phi_rise(solutions) -> None:
    """The product stays positive, and phi rises where two signs change: the set matters."""
    flows, read = solutions("flows"), solutions("common").read
    example = read(STUDY / "raw" / "scalar" / "pairs.json.gz")["example"]
    w, rate = np.array([example["weights"]]), np.array([example["rate"]])
    phis, flipped = [flows.flow_sharpness(w)[0]], False
    for _ in range(20):
        w = flows.step(w, rate)
        assert w.prod() > 0
        flipped = flipped or w.min() < 0
        phis.append(flows.flow_sharpness(w)[0])
    assert flipped
    assert any(after > before * (1 + 1e-6) for before, after in pairwise(phis))


def test_the_four_behaviours_at_depth_four(solutions) -> None:
    scalar, behaviour = solutions("scalar"), solutions("theory_tables").behaviour
    near = scalar.scan("4-near", (0.6, 2.3), 500)
    assert [behaviour(run) for run in near] == ["like the flow", "catapult"]
    (edge,), (lost,) = scalar.scan("4-balanced", (2.2,), 1_500), scalar.scan("4", (5.0,), 100)
    assert [behaviour(run) for run in (edge, lost)] == ["edge of stability", "diverges"]
    assert edge["loss_rises"] > 10


# Squared regression.


@pytest.mark.parametrize("examples", [1, 3])
def test_the_solution_of_squared_regression_is_the_flow_s(solutions, examples: int) -> None:
    regression = solutions("regression")
    at = regression.starts(examples, 3, np.random.default_rng(0), 0.5)
    end = regression.solution(at)
    assert np.abs(end.residual()).max() < 1e-11
    np.testing.assert_allclose(end.u * end.v, at.u * at.v, rtol=1e-12)
    d = at.u.shape[1]

    def velocity(_: float, w: np.ndarray) -> np.ndarray:
        here = regression.Ensemble(at.x[:1], at.y[:1], w[None, :d], w[None, d:])
        slope = 2 * np.einsum("rnd,rn->rd", here.x, here.residual())[0] / examples
        return np.concatenate([-slope * w[:d], slope * w[d:]])

    start = np.concatenate([at.u[0], at.v[0]])
    w = solve_ivp(velocity, (0, 100), start, rtol=1e-9, atol=1e-11).y[:, -1]
    np.testing.assert_allclose(w, np.concatenate([end.u[0], end.v[0]]), rtol=1e-5)
    phi = regression.flow_sharpness(at)
    assert regression.sharpness_of(end.only(slice(0, 1))) == pytest.approx(phi[0], rel=1e-9)


def test_a_step_of_squared_regression_is_gradient_descent(solutions) -> None:
    regression = solutions("regression")
    at = regression.starts(3, 2, np.random.default_rng(1), 0.5)
    u, v = (torch.tensor(w, requires_grad=True) for w in (at.u, at.v))
    x, y = torch.tensor(at.x), torch.tensor(at.y)
    loss = 0.5 * (torch.einsum("rnd,rd->rn", x, u**2 - v**2) - y).square().mean(1)
    np.testing.assert_allclose(loss.detach().numpy(), at.loss(), rtol=1e-12)
    loss.sum().backward()
    moved = at.step(np.array([0.01, 0.02]))
    np.testing.assert_allclose(moved.u[1], at.u[1] - 0.02 * u.grad.numpy()[1], rtol=1e-10)
    np.testing.assert_allclose(moved.v[0], at.v[0] - 0.01 * v.grad.numpy()[0], rtol=1e-10)


# The stabilised integrator.


@pytest.mark.parametrize("start", STARTS[:3])
def test_stabilised_steps_follow_the_flow(solutions, start: list[float]) -> None:
    flows, flow = solutions("flows"), solutions("stabilised").flow
    w = np.array(start)
    for _, at in flow(
        lambda w: -flows.gradient(w[None])[0], lambda w: abs(flows.sharpness_of(w[None])[0]), w
    ):
        if flows.loss_of(at[None])[0] < 1e-12:
            break
    assert (1 / at**2).sum() == pytest.approx(scalar_flow_sharpness(start), rel=1e-4)
    balances = at**2 - at[0] ** 2, w**2 - w[0] ** 2
    np.testing.assert_allclose(*balances, atol=1e-3)


@pytest.mark.parametrize("stages", [2, 5, 40])
def test_stabilised_steps_are_of_second_order_and_stable(solutions, stages: int) -> None:
    advance = solutions("stabilised").advance
    rates = np.array([1.0, 0.3])

    def error(step: float) -> float:
        w = np.ones(2)
        for _ in range(round(1 / step)):
            w = advance(lambda w: -rates * w * w, w, -rates * w * w, step, stages)
        return float(np.abs(w - 1 / (1 + rates)).max())

    assert error(0.05) / error(0.025) == pytest.approx(4, rel=0.15)
    limit = 0.653 * (stages**2 - 1)
    for stiff in np.linspace(0.5, 0.95 * limit, 7):
        rate = np.array([stiff])
        ahead = advance(lambda w, r=rate: -r * w, np.ones(1), -rate, 1.0, stages)
        assert abs(ahead[0]) < 1


def test_both_integrators_agree_on_a_network(solutions) -> None:
    networks = solutions("networks")
    net = networks.NETS["quick"]
    found = networks.checked(net, net.model(0), net.batch())
    assert found["converged"]
    assert found["own_sharpness"] == pytest.approx(found["sharpness"], rel=1e-3)
    assert found["distance"] < 1e-3 * found["way"]


# Alarms.


def test_scores_of_alarms(solutions) -> None:
    alarms = solutions("alarms")
    values = np.array([9.0, 4.0, 2.0, 3.0, 1.0, 1.5])
    assert alarms.rise(values, 6, 1) == pytest.approx(math.log(1.5))
    assert alarms.rise(values, 3, 1) == 0
    assert math.isnan(alarms.rise(np.full(6, math.nan), 6))
    scores = np.array([0.0, 1.0, 2.0, math.nan, 3.0])
    bad, good = np.array([0, 0, 1, 1, 1], bool), np.array([1, 1, 0, 0, 0], bool)
    assert alarms.area(scores, bad, good) == pytest.approx(4 / 6)
    table = {"x": np.arange(100.0), "good": np.ones(100)}
    at = alarms.levels_for([table], "x")
    assert alarms.share(table["x"], table["good"] > 0, at) == alarms.FALSE


# Scripts and pages.


def test_quick_forms_run_resume_and_make_a_page(solutions, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pyarrow")
    run = solutions("run")
    run.main(["--quick", "--out", str(tmp_path)])
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "raw").glob("*/*.gz")}
    assert {path.parent.name for path in first} == set(KEPT)
    run.main(["--quick", "--out", str(tmp_path)])
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "raw").glob("*/*.gz")}
    assert again == first
    page = (tmp_path / "results.md").read_text()
    assert "| quick | " in page
    assert "0 runs with a rise of phi before leaving" in page
    assert (tmp_path / "theory.png").stat().st_size > 1_000
    assert (tmp_path / "perceptrons.png").stat().st_size > 1_000


def test_the_page_is_made_of_the_committed_results(solutions, tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    solutions("report").main(["--out", str(page)])
    assert page.read_text() == (STUDY / "results.md").read_text()
