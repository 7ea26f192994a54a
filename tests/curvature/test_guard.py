"""What holds inside `quiet`, and that it ends with the block."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lrsearch.curvature import quiet, restored
from lrsearch.curvature._guard import exchanged


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 1))


def test_dropout_is_off_and_batch_norm_uses_the_batch() -> None:
    model = net()
    x = torch.randn(32, 4) + 3
    generator = torch.get_rng_state()
    with quiet(model):
        inside = model(x)
        assert torch.equal(model(x), inside)
        assert not inside.requires_grad
    assert torch.equal(torch.get_rng_state(), generator)
    hidden = model[0](x)
    normal = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
    assert torch.allclose(inside, model[3](normal), atol=1e-5)


def test_frozen_batch_norm_keeps_its_running_statistics() -> None:
    model = net()
    model[1].eval()
    x = torch.randn(32, 4) + 3
    with quiet(model):
        inside = model(x)
        assert not model[1].training
    assert torch.allclose(inside, model[3](model[0](x) / (1 + 1e-5) ** 0.5), atol=1e-5)
    assert model.training


@pytest.mark.parametrize("fails", [False, True])
def test_modes_and_buffers_come_back(fails: bool) -> None:
    model = net()
    model[3].eval()
    model[1](torch.randn(9, 6))  # some statistics to lose
    modes = [m.training for m in model.modules()]
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    objects = dict(model.named_buffers())
    try:
        with quiet(model):
            model(torch.randn(32, 4) - 5)
            if fails:
                raise KeyError("stop")
    except KeyError:
        pass
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(b, buffers[name]) for name, b in model.named_buffers())
    assert all(b is objects[name] for name, b in model.named_buffers())
    assert torch.is_grad_enabled()
    model(torch.randn(32, 4) - 5)  # it tracks again
    assert not torch.equal(model[1].running_mean, buffers["1.running_mean"])
    assert int(model[1].num_batches_tracked) == 2


def test_restored_gives_back_bits_that_arithmetic_would_lose() -> None:
    values = [torch.tensor([1e-8, float("nan"), -0.0, float("inf")]), torch.arange(3)]
    raw = [v.view(torch.int32 if v.dtype == torch.float32 else v.dtype).clone() for v in values]
    with restored(values) as saved:
        values[0].add_(1e8)
        values[1].zero_()
        assert saved[1].tolist() == [0, 1, 2]
    assert torch.equal(values[0].view(torch.int32), raw[0])
    assert torch.equal(values[1], raw[1])
    with restored([]):
        pass


@pytest.mark.parametrize("fails", [False, True])
def test_exchanged_tensors_swap_what_they_hold_without_a_copy(fails: bool) -> None:
    own, other = torch.tensor([1.0, float("nan"), -0.0]), torch.tensor([4.0, 5.0, 6.0])
    addresses = own.data_ptr(), other.data_ptr()
    version = own._version
    try:
        with exchanged([own], [other]):
            assert own.tolist() == [4.0, 5.0, 6.0]
            assert own.data_ptr() == addresses[1]
            own.data.add_(1.0)  # a probe that moves: lost with the counterpart
            if fails:
                raise KeyError("stop")
    except KeyError:
        pass
    assert own.data_ptr() == addresses[0]
    assert own._version == version
    assert str(own.tolist()) == "[1.0, nan, -0.0]"


def test_a_part_of_a_larger_memory_keeps_its_place() -> None:
    """As the weights of a flattened RNN: their kernels want one memory."""
    flat = torch.arange(6.0)
    part, other = flat[2:4], torch.tensor([9.0, 8.0])
    with exchanged([part], [other]):
        assert flat.tolist() == [0, 1, 9, 8, 4, 5]
    assert flat.tolist() == [0, 1, 2, 3, 4, 5]
    assert other.tolist() == [9, 8]
