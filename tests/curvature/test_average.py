"""The averaged weights, against the formula of the paper written out."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lrsearch.curvature import WeightAverage


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2).bfloat16())


def wander(net: nn.Module) -> None:
    with torch.no_grad():
        for t in [*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())]:
            t.add_(torch.randn_like(t))
    net[1].num_batches_tracked += 1


def test_follows_the_formula_on_every_fourth_step() -> None:
    net = model()
    average = WeightAverage(net)
    expected, t = torch.zeros(()), 0
    assert average.average is None
    for step in range(1, 61):
        wander(net)
        average.update(step)
        if step % 4 == 0:
            t += 1
            weight = 9 / (t + 8)
            expected = (1 - weight) * expected + weight * net[0].weight.detach().double()
        if average.average is not None:
            assert torch.allclose(average.average[0].double(), expected, rtol=1e-4, atol=1e-5)
    assert average.updates == t == 15


def test_the_last_tenth_of_a_run_counts() -> None:
    """The weights of the average sum to 1, and half of the mass lies in the last 8 per cent."""
    masses = torch.zeros(1000, dtype=torch.float64)
    for t in range(1, 1001):
        masses *= 1 - 9 / (t + 8)
        masses[t - 1] = 9 / (t + 8)
    assert masses.sum().item() == pytest.approx(1.0)
    assert masses[-80:].sum().item() == pytest.approx(0.53, abs=0.02)


def test_swapping_in_is_undone_bit_for_bit() -> None:
    net = model()
    average = WeightAverage(net)
    for step in range(1, 13):
        wander(net)
        average.update(step)
    before = copy.deepcopy(net.state_dict())
    versions = [p._version for p in net.parameters()]
    with average.swapped_in():
        held = average.average
        assert held is not None
        assert all(torch.equal(t, a) for t, a in zip(average.tensors, held, strict=True))
        assert not torch.equal(net[0].weight, before["0.weight"])
        assert not torch.equal(net[1].running_mean, before["1.running_mean"])
    after = net.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert [p._version for p in net.parameters()] == versions
    with pytest.raises(ZeroDivisionError), average.swapped_in():
        1 / 0
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in before)


def test_before_the_first_update_the_weights_stand_for_their_average() -> None:
    net = model()
    before = net[0].weight.clone()
    with WeightAverage(net).swapped_in():
        assert torch.equal(net[0].weight, before)


def test_a_loaded_average_goes_on_alone() -> None:
    """Two watches may load one state, as when a population copies its best member."""
    net = model()
    first = WeightAverage(net)
    for step in range(1, 9):
        wander(net)
        first.update(step)
    assert first.average is not None
    stored = [a.double() for a in first.average]
    second = WeightAverage(net)
    second.load(first.average, first.updates)
    assert second.average is not None
    assert [a.dtype for a in second.average] == [t.dtype for t in second.tensors]
    wander(net)
    second.update(12)
    assert all(torch.equal(a.double(), s) for a, s in zip(first.average, stored, strict=True))
    first.update(12)
    assert all(torch.equal(a, b) for a, b in zip(first.average, second.average, strict=True))
    second.load(None, 0)
    assert second.average is None
    assert second.updates == 0


def test_the_average_of_another_model_is_refused() -> None:
    with pytest.raises((ValueError, RuntimeError)):
        WeightAverage(model()).load([torch.zeros(3)], 1)
