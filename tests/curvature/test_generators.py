"""Who has drawn from a global generator, and that no other thread pays for it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch

from lrsearch.curvature._generators import DrawsRandomNumbersError, undrawn


def seed() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)


@pytest.mark.parametrize("draw", [lambda: torch.rand(()), np.random.rand, random.random])
def test_a_draw_is_told_and_taken_back(draw: Callable[[], object]) -> None:
    seed()
    expected = torch.rand(()).item(), np.random.rand(), random.random()
    seed()
    with pytest.raises(DrawsRandomNumbersError, match="draws random numbers"), undrawn():
        draw()
    assert (torch.rand(()).item(), np.random.rand(), random.random()) == expected


def test_draws_of_another_thread_are_neither_blamed_nor_taken_back() -> None:
    torch.manual_seed(1)
    expected = [torch.rand(()).item() for _ in range(2)]
    torch.manual_seed(1)
    found: list[float] = []
    begin, drawn, left = threading.Event(), threading.Event(), threading.Event()

    def other() -> None:
        begin.wait(10)
        found.append(torch.rand(()).item())
        drawn.set()
        left.wait(10)
        found.append(torch.rand(()).item())

    thread = threading.Thread(target=other)
    thread.start()  # trials of one study work in threads like this
    with undrawn():
        begin.set()
        drawn.wait(10)
    left.set()
    thread.join()
    assert found == expected
