"""The study of schedules under budgets: its programs are torch's, its choices are as it says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

STUDY = Path(__file__).parents[2] / "studies" / "budgeted_schedules"
STEPS, SEEDS, LEVEL = 12, [7, 3, 7], {"momentum": 0.05, "adamw": 0.01}


def plain(problem, optimizer: str, rates: np.ndarray, seed: int) -> tuple[list, float]:
    """One member as one would train it in torch: its weights, and its validation loss."""
    torch.manual_seed(seed)
    net = problem.net().plain()
    if optimizer == "momentum":
        rule = torch.optim.SGD(net.parameters(), 1.0, momentum=0.9, weight_decay=problem.decay)
    else:
        rule = torch.optim.AdamW(net.parameters(), 1.0)

    def loss(part):
        out = net(part[0])
        return functional.cross_entropy(out.reshape(-1, out.shape[-1]), part[1].flatten())

    (x, y), validation, _ = problem.data()
    for rate, at in zip(rates, problem.order(seed, STEPS), strict=True):
        rule.param_groups[0]["lr"] = float(rate)
        rule.zero_grad()
        loss((x[at], y[at])).backward()
        rule.step()
    net.eval()
    with torch.no_grad():
        return problem.net().split(net), float(loss(validation))


@pytest.fixture(scope="module", autouse=True)
def _made_data(budgeted) -> None:
    """Images and text of our own: the study's may not be beside the repository."""
    load = budgeted("problems")._loader()
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 60_000)
    classes = rng.integers(0, 160, (10, 28, 28))

    def idx(path: Path) -> np.ndarray:
        if "labels" in path.name:
            return labels.astype(np.uint8)
        noise = rng.integers(0, 96, (len(labels), 28, 28), dtype=np.uint8)
        return classes.astype(np.uint8)[labels] + noise

    def characters() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
        steps = rng.choice([1, 2, 7], 200_000, p=[0.7, 0.2, 0.1])
        codes = torch.tensor(np.cumsum(steps) % 40)
        return codes[:180_000], codes[180_000:184_000], codes[184_000:], 40

    load.idx, load.characters = idx, characters


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
@pytest.mark.parametrize("task", ["perceptron", "cnn", "transformer"])
def test_a_member_is_trained_as_torch_trains_it(budgeted, task: str, optimizer: str) -> None:
    problem, ensemble = budgeted("problems").PROBLEMS[task], budgeted("ensemble")
    shapes = budgeted("contenders").SHAPES
    rates = np.stack(
        [LEVEL[optimizer] * shapes[s].values(STEPS) for s in ("linear", "cyclic", "uba 5")]
    )
    members = ensemble.train(problem, optimizer, rates, SEEDS)
    losses = ensemble.evaluate(problem, members, problem.data()[1])
    for i in (1, 2):
        weights, loss = plain(problem, optimizer, rates[i], SEEDS[i])
        assert losses[i] == pytest.approx(loss, rel=1e-4)
        for mine, theirs in zip(members.weights, weights, strict=True):
            torch.testing.assert_close(mine[i], theirs, rtol=1e-3, atol=1e-4)
    assert abs(losses[0] - losses[2]) > 1e-3 * losses[0]  # same seed, other rates


def test_the_parts_of_the_data_do_not_overlap(budgeted) -> None:
    problems = budgeted("problems")
    x = problems.PROBLEMS["transformer"].data()
    ends = [len(part[0]) for part in x]
    kept, _, _, _ = problems._loader().characters()
    assert ends[0] * 5 < 8 / 9 * len(kept) + 5
    assert (ends[1] + ends[2]) * 60 < len(kept) / 9 + 200
    for name in ("perceptron", "cnn"):
        train, validation, test = problems.PROBLEMS[name].data()
        assert (len(validation[1]), len(test[1])) == (2000, 8000)
        assert len(train[1]) <= 30_000


def test_a_peak_is_sought_until_the_best_lies_inside(budgeted) -> None:
    bracket, found = budgeted("bracket"), {}
    loss = {
        k: [math.exp(0.01 * (k - 5.3) ** 2)] * 2 if k < 8 else [math.inf, 1.0]
        for k in range(-9, 20)
    }
    rounds = 0
    while ks := bracket.wanted(found, -4, 2):
        assert not set(ks) & set(found)
        found |= {k: loss[k] for k in ks}
        rounds += 1
    assert bracket.best(found) == 5
    assert {4, 6} <= set(found)
    assert rounds == 5
    assert bracket.vertex(found) == pytest.approx(5.3)
    assert bracket.peak(bracket.best(found)) == pytest.approx(2**2.5)


def test_a_peak_before_a_cliff_is_taken_as_it_is(budgeted) -> None:
    bracket = budgeted("bracket")
    assert bracket.vertex({0: [2.0], 1: [1.0], 2: [math.inf]}) == 1.0
    assert bracket.wanted({0: [2.0], 1: [1.0], 2: [math.inf]}, 0, 1) == []


def test_the_quick_form_runs_and_resumes(budgeted, tmp_path) -> None:
    script = budgeted("run")
    script.main(["--quick", "--out", str(tmp_path)])
    first = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(first) == 2
    path = sorted(first)[0]
    cell = script.read(path)
    script.write(path, cell | {"runs": cell["runs"][:-3]})  # killed, and started again
    script.main(["--quick", "--out", str(tmp_path)])
    again = script.read(path)
    assert [{k: r[k] for k in ("shape", "k", "seed")} for r in again["runs"]] == [
        {k: r[k] for k in ("shape", "k", "seed")} for r in cell["runs"]
    ]
    for mine, theirs in zip(again["runs"], cell["runs"], strict=True):
        lost = theirs["validation"] is None  # it diverged
        assert mine["validation"] == (
            None if lost else pytest.approx(theirs["validation"], rel=1e-3)
        )


def outcome(module, losses: np.ndarray, tuning=None, task: str = "a") -> object:
    scores = losses.mean(axis=1)
    return module.Outcome(task, "adamw", 5, losses, scores, tuning or {})


def test_noise_is_what_schedule_and_seed_do_not_say_alone(budgeted) -> None:
    module = budgeted("outcomes")
    rng = np.random.default_rng(1)
    shapes, seeds = rng.normal(size=(40, 1)), rng.normal(size=(1, 50))
    assert outcome(module, shapes + seeds).interaction == pytest.approx(0.0, abs=1e-12)
    noisy = outcome(module, shapes + seeds + 0.1 * rng.normal(size=(40, 50)))
    assert noisy.interaction == pytest.approx(0.1, rel=0.05)
    assert noisy.noise == pytest.approx(0.1 * math.sqrt(2 / 50), rel=0.05)
    assert noisy.given_up.min() == 0.0


def test_intervals_draw_tasks_then_seeds(budgeted) -> None:
    module = budgeted("outcomes")
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=(1, 8)), 3 + rng.normal(size=(1, 6))]
    found = [outcome(module, p, task=t) for p, t in zip(parts, "ab", strict=True)]
    made = module.drawn(module.draws(found), [p[0] for p in parts])
    assert made.mean() == pytest.approx(module.mean([p[0] for p in parts]), abs=0.15)
    low, high = module.interval(made)
    assert low < 0.6  # a alone
    assert high > 2.6  # b alone
    one = module.drawn(module.draws(found[:1]), [parts[0][0]])
    assert one.std() == pytest.approx(parts[0].std() / math.sqrt(8), rel=0.1)


def test_several_schedules_are_chosen_between_on_tuning_seeds(budgeted) -> None:
    tables, module = budgeted("shape_tables"), budgeted("outcomes")
    losses = np.zeros((len(module.LABELS), 2))
    made = outcome(module, losses)
    made.scores[:] = 1.0
    made.scores[module.LABELS.index("uba 5")] = 0.5
    made.losses[module.LABELS.index("uba 1")] = -9.0  # better, but who could know
    assert module.LABELS[tables.chosen(made, tables.PHIS)] == "uba 5"
    assert module.LABELS[tables.chosen(made, "rex")] == "rex"


def test_condition_numbers_of_a_known_spectrum(budgeted) -> None:
    tables = budgeted("condition_tables")
    reading = {"values": [8.0, 1.0, -0.5, 0.25], "weights": [0.04, 0.16, 0.2, 0.6]}
    found = tables.kappas(reading | {"along_gradient": 4.0, "batch_sharpness": -1.0})
    assert found["median size"] == 32.0
    assert found["90 % of sizes"] == 8.0
    assert found["99 % of sizes"] == 1.0
    assert found["mean"] == pytest.approx(8.0 / 0.53)
    assert (found["along the gradient"], found["batch sharpness"]) == (2.0, math.inf)
    assert tables.nearest(4.0) == "uba 5"
    assert tables.nearest(2.1) == "cosine"
    assert tables.nearest(math.inf) == "uba 10"


def test_a_peak_that_is_off_costs_what_the_tuning_says(budgeted) -> None:
    tables = budgeted("prior_tables")
    curve = {k: [math.exp(0.04 * k**2)] for k in range(-3, 4)}
    made = outcome(budgeted("outcomes"), np.zeros((1, 2)), {"linear": curve, "wsd": curve})
    assert tables.price(made, "wsd", 0.0) == pytest.approx((0.0, False))
    assert tables.price(made, "wsd", 0.5) == pytest.approx((0.04, False))
    assert tables.price(made, "wsd", -2.0) == pytest.approx((0.36, True))


def test_the_page_is_made_of_the_committed_results(budgeted, tmp_path) -> None:
    page = tmp_path / "results.md"
    budgeted("report").main(["--out", str(page)])
    assert page.read_text() == (STUDY / "results.md").read_text()
