"""How many trials fit a device: what was measured, and the advice that follows."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

pytest.importorskip("ray")

from lrsearch.integrations.ray import advice, measured_memory
from lrsearch.integrations.ray._memory import fraction


def took(gpu: float, total: float = 80.0) -> dict[str, Any]:
    return {"host": 1.0, "gpu": gpu, "gpu_total": total}


@pytest.mark.parametrize(
    ("memory", "gpus", "sentence"),
    [
        (took(79.0), 1.0, "it hardly fits; use a smaller batch or --gpus-per-trial 1"),
        (took(30.0), 0.25, "4 of them on one GPU will not fit; --gpus-per-trial 0.5 packs 2"),
        (took(25.0), 0.5, "2 on one GPU is what fits"),
        (took(40.0), 1.0, "1 on one GPU is what fits"),
        (took(10.0), 1.0, r"up to 7 fit one GPU by memory \(--gpus-per-trial 0.1428\)"),
        (took(10.0), 0.25, r"up to 7 fit one GPU"),
        (took(10.0), 0.0, r"up to 7 fit one GPU"),
        (took(20.0), 2.0, r"up to 3 fit one GPU"),
    ],
)
def test_the_advice_is_one_sentence_with_the_numbers(memory, gpus: float, sentence: str) -> None:
    said = advice(memory, gpus)
    assert said is not None
    assert re.search(sentence, said)
    assert said.startswith(f"one trial took {memory['gpu']:.1f} of 80 GiB of its GPU: ")


@pytest.mark.parametrize("memory", [None, {}, {"host": 3.0}, {"host": 3.0, "gpu": 0.0}, took(1, 0)])
def test_where_nothing_was_measured_there_is_no_advice(memory: Any) -> None:
    assert advice(memory, 1.0) is None


@pytest.mark.parametrize("count", range(1, 60))
def test_the_fraction_packs_exactly_that_many(count: int) -> None:
    """Ray counts in ten-thousandths: a share that is rounded up packs one fewer."""
    units = round(1e4 * fraction(count))
    assert units == pytest.approx(1e4 * fraction(count))
    assert 10_000 // units == count
    assert math.floor(1 / fraction(count)) >= count


def test_on_a_cpu_the_host_is_measured() -> None:
    found = measured_memory("cpu")
    assert set(found) == {"host"}
    assert 0.05 < found["host"] < 1000
