"""A second evaluation sees the same random numbers, and leaves nothing behind."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm

from lrsearch.exceptions import MeasurementError
from lrsearch.tuners._replay import Replay, buffers_kept


def test_the_same_numbers_are_drawn_again_and_the_generator_goes_on() -> None:
    torch.manual_seed(0)
    replay = Replay()
    draw = lambda: torch.rand(3, requires_grad=True).sum()  # noqa: E731
    first = draw()
    after = torch.get_rng_state()
    with replay.losses(draw) as loss:
        assert loss() == loss() == first.item()
    assert torch.equal(torch.get_rng_state(), after)


def test_beside_other_threads_generators_are_left_alone() -> None:
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    try:
        torch.manual_seed(0)
        replay = Replay()
        first = torch.rand(())
        with replay.losses(lambda: torch.rand(())) as loss:
            assert loss() != first.item()
    finally:
        leave.set()
        thread.join()


class Counting(nn.Module):
    """Replaces a buffer, and changes another in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(()))
        self.register_buffer("nothing", None)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x.detach().sum()
        return x * 2


def test_buffers_are_put_back_whether_changed_or_replaced() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.BatchNorm1d(4), Counting(), spectral_norm(nn.Linear(4, 4)), nn.BatchNorm1d(4)
    )
    before = {name: b.clone() for name, b in model.named_buffers()}
    owners = dict(model.named_buffers())
    with torch.no_grad(), buffers_kept():
        model(torch.randn(6, 4))
        model(torch.randn(6, 4))
    for name, b in model.named_buffers():
        assert b is owners[name], name
        assert torch.equal(b, before[name]), name
    model(torch.randn(6, 4))
    assert int(model[0].num_batches_tracked) == 1


def test_buffers_of_a_functional_call_do_not_move_in() -> None:
    model = nn.BatchNorm1d(4)
    own = dict(model.named_buffers())
    others = {name: b.clone() for name, b in own.items()}
    with torch.no_grad(), buffers_kept():
        functional_call(model, others, (torch.randn(6, 4),))
    assert all(b is own[name] for name, b in model.named_buffers())
    assert int(others["num_batches_tracked"]) == int(own["num_batches_tracked"]) == 0


def test_hooks_are_gone_also_after_an_error() -> None:
    model = Counting()
    with pytest.raises(RuntimeError), buffers_kept():
        model(torch.ones(2))
        raise RuntimeError
    assert float(model.calls) == 0
    model(torch.ones(2))
    assert float(model.calls) == 1


def test_under_autocast_the_moved_weights_are_seen() -> None:
    layer = nn.Linear(4, 4, bias=False)
    x = torch.ones(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        first = layer(x).sum()
        with Replay().losses(lambda: layer(x).sum()) as loss:
            layer.weight.data.zero_()
            assert loss() == 0.0
    assert first.item() != 0.0


def test_another_kind_of_loss_is_refused() -> None:
    with (
        Replay().losses(lambda: torch.ones(2)) as loss,
        pytest.raises(MeasurementError, match="the same scalar for the same batch"),
    ):
        loss()
