"""When the test of a climbing loss fires, and when it does not."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pytest

from lrsearch.exceptions import CheckpointError, UnsupportedError
from lrsearch.tuners import PageHinkley


def alarms(losses: Iterable[float], *, drift: float = 0.0) -> list[int]:
    test = PageHinkley(0.01, drift=drift)
    return [t for t, loss in enumerate(losses) if test.update(float(loss))]


def test_neither_a_constant_nor_a_falling_loss_is_an_alarm() -> None:
    """Check 7."""
    assert alarms([1.0] * 5000) == []
    assert alarms(np.linspace(1.0, 0.1, 3000)) == []


@pytest.mark.parametrize(("at", "alarm"), [(200, 201), (20, 20)])
def test_a_loss_ten_times_as_large_is_an_alarm(at: int, alarm: int) -> None:
    """Check 7: once smoothed over 1 / fraction steps it shows one step later."""
    assert alarms([1.0] * at + [10.0] * 3)[0] == alarm


def test_pure_noise_sets_it_off_unless_a_drift_is_forgiven() -> None:
    """Check 7's caveat."""
    noise = 1 + 0.3 * np.random.default_rng(0).standard_normal(5000)
    assert len(alarms(noise)) == 66
    assert len(alarms(noise, drift=0.05)) < 10
    assert alarms([*noise, *[10.0] * 3], drift=0.05)[-1] > 5000


def test_after_an_alarm_it_begins_anew_on_the_scale_of_the_first_loss() -> None:
    test = PageHinkley(0.01)
    assert [test.update(x) for x in (2.0, 2.0, 8.0)] == [False, False, True]
    assert (test.scale, test.alarms, test.count) == (2.0, 1, 0)
    assert not test.update(8.0)
    assert test.smooth == test.mean == 8.0


def test_it_resumes_bit_for_bit() -> None:
    noise = 1 + 0.3 * np.random.default_rng(1).standard_normal(400)
    test, other = PageHinkley(), PageHinkley()
    for x in noise[:200]:
        test.update(float(x))
    other.load_state_dict(json.loads(json.dumps(test.state_dict())))
    for x in noise[200:]:
        assert test.update(float(x)) == other.update(float(x))
    assert test.state_dict() == other.state_dict()


@pytest.mark.parametrize(
    "wrong", [{"fraction": 0.0}, {"fraction": 2.0}, {"threshold": 0.0}, {"drift": -1.0}]
)
def test_values_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UnsupportedError, match=next(iter(wrong))):
        PageHinkley(**wrong)


def test_another_state_is_refused() -> None:
    with pytest.raises(CheckpointError, match="Page-Hinkley"):
        PageHinkley().load_state_dict({"count": 1})
