"""Probes of several threads leave compiled modules as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lrsearch.curvature import eager, quiet


def compiled() -> tuple[nn.Module, list[int]]:
    """A compiled module, and how often its graph was run."""
    torch.compiler.reset()
    ran: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]):
        def run(*args):
            ran.append(1)
            return graph(*args)

        return run

    module = torch.compile(nn.Linear(2, 2), backend=backend)
    module(torch.ones(1, 2))
    ran.clear()
    return module, ran


def uses_graph(module: nn.Module, ran: list[int]) -> bool:
    ran.clear()
    module(torch.ones(1, 2))
    return bool(ran)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own, while it compiles
def test_probes_that_overlap_put_the_stance_back() -> None:
    """As in threads: the first to begin ends first."""
    module, ran = compiled()
    assert uses_graph(module, ran)
    first, second = eager(), quiet(nn.Linear(1, 1))
    first.__enter__()
    assert not uses_graph(module, ran)
    second.__enter__()
    first.__exit__(None, None, None)
    assert not uses_graph(module, ran)  # the second is still at work
    second.__exit__(None, None, None)
    assert uses_graph(module, ran)
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_probe_that_fails_puts_it_back() -> None:
    module, ran = compiled()
    with pytest.raises(OSError), eager():
        raise OSError
    assert uses_graph(module, ran)
    torch.compiler.reset()
