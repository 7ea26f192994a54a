"""The watch: when it reads, what it reads, what that costs, and whom it tells."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsearch.curvature import Watch
from lrsearch.curvature._cadence import Cadence
from lrsearch.exceptions import CheckpointError, InvalidSpaceError, MeasurementError
from lrsearch.stability import Reading, Verdict
from lrsearch.testing import dense_hessian, quadratic
from lrsearch.training import load_checkpoint, save_checkpoint

FORWARD = 0.4


class StopRun(Exception):  # noqa: N818, named as hosts name theirs
    pass


class FakeHost:
    """Stops a run that is not finite, or only listens."""

    def __init__(
        self, budget: int | None = None, peak: float | None = None, *, listens: bool = False
    ) -> None:
        self.budget, self.peak, self.listens = budget, peak, listens
        self.log: list[str] = []
        self.readings: list[Reading] = []

    def emit(self, reading: Reading) -> None:
        self.log.append("emit")
        self.readings.append(reading)

    def decide(self, readings: Sequence[Reading]) -> Verdict:
        self.log.append("decide")
        assert list(readings) == self.readings
        return Verdict(stop=not readings[-1].finite, regime="diverged", step=readings[-1].step)

    def stop(self, verdict: Verdict) -> None:
        self.log.append("stop")
        if not self.listens:
            raise StopRun(verdict.regime)


def bowl() -> tuple[nn.Module, Any, Tensor]:
    return quadratic([4.0, 1.0, 0.25, 3.0], [1.0, -2.0, 3.0, 0.5])


def run(
    watch: Watch, batch: Any, steps: int, *, losses: dict[int, float] | None = None, start: int = 0
) -> list[float]:
    """Plain training; ``losses`` replaces what the watch is told at some steps (from 1)."""
    told = []
    for step in range(start + 1, start + steps + 1):
        watch.optimizer.zero_grad()
        loss = watch.model(batch)
        loss.backward()
        watch.optimizer.step()
        value = (losses or {}).get(step, loss.item())
        told.append(value)
        watch.step(torch.tensor(value, dtype=torch.float64), batch)
    return told


def hooks(optimizer: torch.optim.Optimizer) -> int:
    return len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


# When, and at what cost


@pytest.mark.parametrize("share", [0.02, 0.3])
@pytest.mark.parametrize("budget", [1, 5, 60, 300])
def test_reads_at_the_planned_steps(budget: int, share: float) -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Watch(model, optimizer, loss_fn, budget=budget, share=share) as watch:
        run(watch, batch, budget + 20)  # a loop that runs over its budget is not read there
    planned = Cadence(budget, share, 2.0, 6.0).planned
    assert [r.step for r in watch.readings] == planned
    assert [r.budget for r in watch.readings] == [budget] * len(planned)


@pytest.mark.parametrize("budget", [None, 40, 1200])
def test_the_account_is_what_was_spent(budget: int | None) -> None:
    """Every evaluation of the loss without a graph is the watch's; each is a forward pass."""
    model, loss_fn, batch = bowl()
    spent = 0

    def counted(model: nn.Module, batch: Any) -> Tensor:
        nonlocal spent
        assert not torch.is_grad_enabled()
        spent += 1
        return loss_fn(model, batch)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    steps = budget or 1200
    with Watch(model, optimizer, counted, budget=budget) as watch:
        run(watch, batch, steps)
    assert watch.steps == steps
    assert watch.cost == pytest.approx(FORWARD * spent)
    assert watch.overhead == pytest.approx(FORWARD * spent / steps)
    assert [r.cost for r in watch.readings] == sorted(r.cost for r in watch.readings)
    if budget is not None:
        assert spent == 5 * len(watch.readings)
        assert watch.cost == pytest.approx(2.0 * len(watch.readings))
    if budget == 1200:
        assert watch.overhead <= 0.02


def test_without_a_budget_the_share_is_kept_in_the_long_run() -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with Watch(model, optimizer, loss_fn, share=0.1, eigenvalues=False) as watch:
        run(watch, batch, 600)
    assert [r.step for r in watch.readings][:8] == [1, 2, 4, 8, 16, 32, 52, 72]
    assert watch.overhead <= 0.1 * 1.15  # the doubling at the start comes on top
    assert {r.progress for r in watch.readings} == {None}


def test_the_host_knows_budget_and_peak() -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    host = FakeHost(budget=30, peak=0.5)
    with Watch(model, optimizer, loss_fn, host=host) as watch:
        run(watch, batch, 30)
    assert [r.step for r in host.readings] == Cadence(30, 0.02, 2.0, 6.0).planned
    assert {(r.budget, r.peak) for r in host.readings} == {(30, 0.5)}
    assert host.log == ["emit", "decide"] * len(host.readings)
    assert Watch(model, optimizer, loss_fn, host=host, budget=7).budget == 7


@pytest.mark.parametrize(
    "options", [{"share": 0.0}, {"share": 1.1}, {"share": "2 %"}, {"budget": 0}, {"budget": 1.5}]
)
def test_refuses_what_makes_no_sense(options: dict[str, Any]) -> None:
    model, loss_fn, _ = bowl()
    with pytest.raises(InvalidSpaceError, match="must"):
        Watch(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn, **options)


# What it reads


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.49])
def test_readings_on_a_quadratic_are_those_of_paper(rate: float) -> None:
    """``S = g'Hg / g'g``, ``rho = rate S / 2``, and the decrease falls short by just ``rho``."""
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    (w,) = model.parameters()
    path = [w.detach().clone()]
    with Watch(model, optimizer, loss_fn, budget=24) as watch:
        for step in range(1, 25):
            run(watch, batch, 1, start=step - 1)
            path.append(w.detach().clone())
    assert len(watch.readings) >= 6
    hessian = dense_hessian(model, loss_fn, batch)
    for r in watch.readings:
        before, after = path[r.step - 1], path[r.step]
        g = hessian @ before
        s = float(g @ hessian @ g / (g @ g))
        assert r.sharpness == pytest.approx(s, rel=1e-6)
        assert r.threshold == 2.0
        assert r.rho == pytest.approx(rate * s / 2, rel=1e-6)
        assert r.decrease_ratio == pytest.approx(1 - rate * s / 2, rel=1e-6)
        assert r.batch_loss == pytest.approx(float(0.5 * before @ hessian @ before))
        assert r.gradient_norm == pytest.approx(float(g.norm()))
        assert r.update_norm == pytest.approx(float((after - before).norm()))
        assert r.weight_norm == pytest.approx(float(before.norm()))
        assert r.displacement == pytest.approx(float((after - path[0]).norm()), rel=1e-5)
        assert r.learning_rate == rate
        assert r.note is None


@pytest.mark.parametrize("factor", [0.9, 0.999, 1.001, 1.1])
def test_rho_crosses_one_where_gradient_descent_turns_unstable(factor: float) -> None:
    model, loss_fn, batch = quadratic([4.0, 1.0], [1.0, 0.0])
    optimizer = torch.optim.SGD(model.parameters(), lr=factor * 2 / 4.0)
    with Watch(model, optimizer, loss_fn, budget=12) as watch:
        told = run(watch, batch, 12)
    assert [r.rho for r in watch.readings] == pytest.approx([factor] * len(watch.readings))
    assert (told[-1] > told[0]) == (watch.readings[-1].rho > 1)


def test_losses_are_averaged_between_readings() -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with Watch(model, optimizer, loss_fn, budget=60) as watch:
        told = run(watch, batch, 60)
    previous = 0
    for r in watch.readings:
        assert r.loss == pytest.approx(sum(told[previous : r.step]) / (r.step - previous))
        assert r.initial_loss == pytest.approx(median(told[:8]))
        previous = r.step


def test_the_annealed_loss_is_that_of_the_average() -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    with Watch(model, optimizer, loss_fn, budget=24) as watch:
        run(watch, batch, 24)
        before = copy.deepcopy(model.state_dict())
        with watch.averaged() as averaged:
            assert averaged is model
            annealed = loss_fn(model, batch).item()
        assert watch.average.average is not None
        assert torch.equal(model.w, before["w"])
    assert watch.readings[-1].step == 24
    assert watch.readings[-1].annealed_loss == annealed != loss_fn(model, batch).item()


def test_the_distance_moved_is_sampled_in_a_large_model() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(600, 500), nn.Linear(500, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with Watch(model, optimizer, budget=1) as watch:
        assert watch._displacement.origin is not None
        assert watch._displacement.origin.numel() <= 65_536 + 4
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        optimizer.step()
        exact = sum(float(p.grad.norm()) ** 2 for p in model.parameters()) ** 0.5
        reading = watch.step(1.0)
    assert reading is not None
    assert reading.displacement == pytest.approx(exact, rel=0.02)


def test_without_a_loss_function_it_reads_gradients_and_updates() -> None:
    model, _, batch = bowl()
    host = FakeHost(budget=20)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Watch(model, optimizer, host=host) as watch:
        run(watch, batch, 20)
    assert len(host.readings) >= 4
    assert watch.cost == 0.0
    for r in host.readings:
        assert r.update_norm == pytest.approx(0.1 * r.gradient_norm)
        assert (r.sharpness, r.batch_loss, r.decrease_ratio) == (None, None, None)
        assert r.finite
        assert "only gradient" in r.note


def test_a_step_without_gradients_does_not_end_the_reading() -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    planned = Cadence(40, 0.02, 2.0, 6.0).planned
    with Watch(model, optimizer, loss_fn, budget=40) as watch:
        for step in range(1, 41):
            loss = loss_fn(model, batch)
            optimizer.zero_grad()
            if step not in planned[:3]:
                loss.backward()
            optimizer.step()
            watch.step(loss, batch)
    found = [r.step for r in watch.readings]
    assert found[0] == next(s for s in range(1, 41) if s >= planned[0] and s not in planned[:3])
    assert found[-3:] == planned[-3:]
    assert all(r.sharpness is not None for r in watch.readings)


def test_a_loss_that_is_no_scalar_is_an_error_and_the_hooks_go() -> None:
    model, loss_fn, _batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with pytest.raises(MeasurementError, match=r"scalar, got shape \(3,\)"):
        with Watch(model, optimizer, loss_fn, budget=40) as watch:
            watch.step(torch.ones(3))
    assert hooks(optimizer) == 0


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda model, batch: model.w * 1.0 if not torch.is_grad_enabled() else None, "scalar"),
        (lambda model, batch: torch.autograd.grad(model.w.sum(), model.w)[0].sum(), "no autograd"),
        (lambda model, batch: (model.w + torch.randn(())).sum(), "draws random numbers"),
    ],
)
def test_a_loss_that_cannot_be_probed_costs_the_readings_not_the_run(
    broken: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    generator = torch.get_rng_state()
    with Watch(model, optimizer, broken, budget=60) as watch:
        for _ in range(60):
            optimizer.zero_grad()
            loss = loss_fn(model, batch)
            loss.backward()
            optimizer.step()
            watch.step(loss, batch)
    assert len(watch.readings) > 3
    assert all(told in r.note and r.sharpness is None for r in watch.readings)
    assert all(r.gradient_norm > 0 for r in watch.readings)
    assert watch.cost == 0
    assert [told in record.message for record in caplog.records] == [True]  # said once
    assert torch.equal(generator, torch.get_rng_state())


def test_a_batch_that_cannot_be_probed_costs_one_reading(caplog: pytest.LogCaptureFixture) -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    bad = {10, 17}

    with Watch(model, optimizer, loss_fn, budget=30, share=1.0, eigenvalues=False) as watch:
        for step in range(1, 31):
            optimizer.zero_grad()
            loss = loss_fn(model, batch)
            loss.backward()
            optimizer.step()
            watch.step(loss, batch[:0] if step in bad else batch)
    notes = {r.step: r.note for r in watch.readings}
    assert bad <= set(notes)
    for step, note in notes.items():
        assert ("the batch is empty" in (note or "")) is (step in bad)
    assert [r.sharpness is None for r in watch.readings] == [r.step in bad for r in watch.readings]
    assert len(caplog.records) == 2  # each time that it begins


def test_batch_sharpness_is_a_ratio_of_means_over_the_last_five() -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Watch(model, optimizer, loss_fn, budget=300, share=0.2) as watch:
        run(watch, batch, 300)
    readings = watch.readings
    assert len(readings) > 8
    for i, reading in enumerate(readings):
        last = readings[max(0, i - 4) : i + 1]
        bends = sum(r.sharpness * r.slope for r in last)
        assert reading.batch_sharpness == pytest.approx(bends / sum(r.slope for r in last))
    # g'd from the losses is |g|^2 under SGD, and the ratio weighs early, large gradients more.
    assert readings[0].slope == pytest.approx(readings[0].gradient_norm ** 2, rel=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_a_scaler_inside_the_optimizer_is_seen_through(fused: bool) -> None:
    """Fused optimizers take scaled gradients, and skip a step by themselves."""

    def scene(scale: float | None) -> list[Reading]:
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
        batch = (torch.randn(32, 4), torch.randint(3, (32,)))
        with Watch(model, optimizer, ce, budget=40, share=1.0) as watch:
            for step in range(1, 41):
                optimizer.zero_grad()
                loss = ce(model, batch)
                overflow = scale is not None and step in (11, 12)
                (scaler.scale(loss) * (math.inf if overflow else 1.0)).backward()
                scaler.step(optimizer)
                scaler.update(scale)
                watch.step(loss, batch)
        assert all(r.finite for r in watch.readings)
        return [r for r in watch.readings if r.step <= 10]

    def ce(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    for scaled, plain in zip(scene(1024.0), scene(None), strict=True):
        assert scaled.gradient_norm == pytest.approx(plain.gradient_norm, rel=1e-5)
        assert scaled.sharpness == pytest.approx(plain.sharpness, rel=1e-2)
        assert scaled.decrease_ratio == pytest.approx(plain.decrease_ratio, rel=1e-2)


def test_the_start_is_a_median_with_a_robust_deviation() -> None:
    model, _, _ = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Watch(model, optimizer, budget=8) as watch:
        for loss in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 1e9):
            model.w.grad = torch.zeros_like(model.w)
            optimizer.step()
            watch.step(loss)
    assert watch.readings[-1].initial_loss == 4.5
    assert watch.readings[-1].initial_spread == pytest.approx(1.48 * 2.0)


# Whom it tells


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [1, 3, 9, 17])
def test_a_loss_that_is_not_finite_is_told_at_once(bad: float, at: int) -> None:
    model, loss_fn, batch = bowl()
    host = FakeHost(budget=100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with pytest.raises(StopRun, match="diverged"):
        with Watch(model, optimizer, loss_fn, host=host) as watch:
            run(watch, batch, 100, losses={at: bad})
    assert watch.steps == at == host.readings[-1].step
    assert not host.readings[-1].finite
    assert all(r.finite for r in host.readings[:-1])
    assert host.log[-3:] == ["emit", "decide", "stop"]
    assert hooks(optimizer) == 0
    loss = host.readings[-1].loss
    assert loss is None if at == 1 else math.isfinite(loss)
    optimizer.step()
    assert watch.steps == at  # it sees nothing any more


def test_a_host_that_only_listens_is_told_once_and_the_reading_goes_on() -> None:
    model, loss_fn, batch = bowl()
    host = FakeHost(budget=60, listens=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Watch(model, optimizer, loss_fn, host=host) as watch:
        run(watch, batch, 60, losses=dict.fromkeys([10, 11, 12, 13, 50], math.nan))
    assert [r.step for r in host.readings if not r.finite] == [10, 50]
    assert host.log.count("stop") == 2
    planned = Cadence(60, 0.02, 2.0, 6.0).planned
    assert [r.step for r in host.readings if r.sharpness is not None] == [
        s for s in planned if s not in (10, 11, 12, 13, 50)
    ]


def test_a_run_that_stays_lost_is_not_copied_at_every_step() -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Watch(model, optimizer, loss_fn, host=FakeHost(budget=200, listens=True)) as watch:
        run(watch, batch, 200, losses=dict.fromkeys(range(1, 201), math.nan))
        assert watch._cadence.next == -1  # past its last probe, as it would be in a good run


def test_alone_it_warns_once() -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Watch(model, optimizer, loss_fn, budget=60) as watch:
            run(watch, batch, 20, losses=dict.fromkeys(range(5, 21), math.nan))
    assert [str(w.message) for w in caught] == [
        "training diverged by step 5 at learning rate 0.01."
    ]


def test_weights_that_burst_between_probes_are_seen_at_the_next() -> None:
    """The loss of a step is that of the weights before it: it may still look well."""
    model, loss_fn, batch = bowl()
    host = FakeHost(budget=8)  # one probe, at step 8
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with pytest.raises(StopRun), Watch(model, optimizer, loss_fn, host=host) as watch:
        run(watch, batch, 7)
        with torch.no_grad():
            model.w[0] = torch.inf
        run(watch, batch, 1, losses={8: 1.0}, start=7)
    assert host.readings[-1].step == 8
    assert "not finite" in host.readings[-1].note


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_weights_that_burst_in_the_last_step_are_seen_at_the_end(bad: float) -> None:
    model, loss_fn, batch = bowl()
    host = FakeHost(budget=30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with pytest.raises(StopRun):
        with Watch(model, optimizer, loss_fn, host=host) as watch:
            run(watch, batch, 25)
            assert all(r.finite for r in host.readings)
            with torch.no_grad():
                model.w[2] = bad
    assert (host.readings[-1].step, host.readings[-1].finite) == (25, False)
    assert hooks(optimizer) == 0
    with pytest.warns(UserWarning, match="diverged by step 1 at"):
        with Watch(model, optimizer, loss_fn) as watch:
            optimizer.step()
    assert watch.readings[-1].loss is None


def test_steps_without_a_word_about_the_loss_are_no_divergence() -> None:
    """Someone who has forgotten `watch.step` is not told that the run diverged."""
    model, loss_fn, batch = bowl()
    host = FakeHost(budget=30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Watch(model, optimizer, loss_fn, host=host) as watch:
        loss_fn(model, batch).backward()
        for _ in range(12):
            optimizer.step()
    assert watch.steps == 12
    assert host.readings == []


def test_an_exception_of_the_loop_passes_through() -> None:
    model, loss_fn, batch = bowl()
    host = FakeHost(budget=30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with pytest.raises(KeyError, match="mine"):
        with Watch(model, optimizer, loss_fn, host=host) as watch:
            run(watch, batch, 3)
            with torch.no_grad():
                model.w[2] = math.nan  # not judged: the run did not end on its own terms
            raise KeyError("mine")
    assert host.log == []
    assert hooks(optimizer) == 0


def test_a_block_that_trains_nothing_says_nothing() -> None:
    model, loss_fn, _ = bowl()
    host = FakeHost(budget=30)
    with Watch(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn, host=host):
        pass
    assert host.log == []


# Resuming


@pytest.mark.parametrize("budget", [None, 50])
@pytest.mark.parametrize("cut", [1, 7, 8, 19, 33])
def test_resumes_exactly(budget: int | None, cut: int, tmp_path: Path) -> None:
    def fresh() -> tuple[Watch, Tensor]:
        model, loss_fn, batch = bowl()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        return Watch(model, optimizer, loss_fn, budget=budget, share=0.2), batch

    whole, batch = fresh()
    with whole:
        run(whole, batch, 50)

    first, batch = fresh()
    with first:
        run(first, batch, cut)
    save_checkpoint(
        tmp_path / "c",
        {
            "watch": first.state_dict(),
            "model": first.model.state_dict(),
            "optimizer": first.optimizer.state_dict(),
        },
    )
    saved = load_checkpoint(tmp_path / "c")
    second, batch = fresh()
    second.model.load_state_dict(saved["model"])
    second.optimizer.load_state_dict(saved["optimizer"])
    second.load_state_dict(saved["watch"])
    with second:
        run(second, batch, 50 - cut, start=cut)
    assert second.readings == whole.readings
    assert (second.steps, second.cost) == (whole.steps, whole.cost)
    assert second.average.updates == whole.average.updates
    pairs = zip(second.average.average or [], whole.average.average or [], strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert second.average.average


def test_a_resumed_run_that_was_lost_is_not_told_again() -> None:
    model, loss_fn, batch = bowl()
    host = FakeHost(budget=60, listens=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Watch(model, optimizer, loss_fn, host=FakeHost(budget=60, listens=True)) as watch:
        run(watch, batch, 5, losses={5: math.nan})
        state = watch.state_dict()
    host.readings = list(watch.readings[:1])
    resumed = Watch(model, optimizer, loss_fn, host=host)
    resumed.load_state_dict(state)
    with pytest.raises(KeyError), resumed:
        run(resumed, batch, 2, start=5, losses={6: math.nan, 7: math.nan})
        raise KeyError
    assert host.log == []


@pytest.mark.parametrize("spoil", ["empty", "missing", "another model", "no tensors"])
def test_a_state_of_something_else_is_refused(spoil: str) -> None:
    model, loss_fn, batch = bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with Watch(model, optimizer, loss_fn, budget=50) as watch:
        run(watch, batch, 20)
    state = watch.state_dict()
    if spoil == "empty":
        state = {}
    elif spoil == "missing":
        del state["meter"]["first"]
    elif spoil == "another model":
        state["average"] = [torch.zeros(4), torch.zeros(2)]
    else:
        state["average"] = 3
    with pytest.raises(CheckpointError, match="not the state of a watch"):
        Watch(model, optimizer, loss_fn).load_state_dict(state)
