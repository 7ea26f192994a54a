"""What both laws share: coefficients, what came before the first step, documents."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lrsearch.exceptions import DocumentError, InvalidScheduleError
from lrsearch.schedules import Schedule
from lrsearch.theory import AnnealingLaw, LossLaw, MultiPowerLaw

LAWS = [
    AnnealingLaw(L0=2.5, A=0.6, alpha=0.5, C=0.4),
    MultiPowerLaw(L0=2.5, A=0.6, alpha=0.5, B=400.0, C=2.0, beta=0.6, gamma=0.64),
]
PEAK = 3e-4


@pytest.mark.parametrize("law", LAWS)
def test_a_constant_rate_has_no_annealing(law: LossLaw) -> None:
    steps = np.array([1, 10, 500])
    power = 2.5 + 0.6 * (PEAK * steps) ** -0.5
    rates = np.full(500, PEAK)
    assert law.predict(rates, steps) == pytest.approx(power, rel=1e-12)
    assert law.final_loss(rates) == pytest.approx(power[-1], rel=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_a_cooldown_lowers_the_loss(law: LossLaw) -> None:
    constant = Schedule("constant", PEAK, 20_000, warmup_steps=200)
    cooled = Schedule("wsd", PEAK, 20_000, {"cooldown": 0.2}, warmup_steps=200)
    at = [16_000, 20_000]
    flat = law.predict(constant.values(), at)
    down = law.predict(cooled.values(), at)
    assert down[0] == flat[0]
    assert down[1] < flat[1] - 0.01


@pytest.mark.parametrize("law", LAWS)
def test_the_final_loss_is_the_last_prediction(law: LossLaw) -> None:
    rates = Schedule("cosine", PEAK, 700, warmup_steps=50).values()
    for past in ({}, {"previous_rate": 1e-4, "previous_sum": 0.2}):
        loss, slopes = law.final_gradient(rates, **past)
        assert loss == pytest.approx(law.predict(rates, [700], **past)[0], rel=1e-12)
        assert loss == law.final_loss(rates, **past)
        assert slopes.shape == rates.shape


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("past", [{}, {"previous_rate": 3.1e-4, "previous_sum": 0.1}])
@pytest.mark.parametrize("rising", [False, True])
def test_the_gradient_is_that_of_finite_differences(
    law: LossLaw, past: dict[str, float], rising: bool
) -> None:
    rng = np.random.default_rng(1)
    rates = rng.uniform(1e-5, PEAK, 40)
    if not rising:
        rates = np.sort(rates)[::-1].copy()
    _, slopes = law.final_gradient(rates, **past)
    shift = 1e-9
    measured = [
        (law.final_loss(rates + shift * e, **past) - law.final_loss(rates - shift * e, **past))
        / (2 * shift)
        for e in np.eye(40)
    ]
    assert slopes == pytest.approx(measured, rel=1e-5, abs=1e-5 * np.abs(slopes).max())


@pytest.mark.parametrize("law", LAWS)
def test_a_warmup_left_out_is_given_as_its_sum(law: LossLaw) -> None:
    """Without its rise, which is worth a constant once it has been absorbed."""
    rates = Schedule("cosine", PEAK, 12_000, warmup_steps=300).values()
    past = {"previous_rate": PEAK, "previous_sum": PEAK * 300 / 2}
    whole = law.predict(rates, [9000, 12_000])
    part = law.predict(rates[300:], [8700, 11_700], **past)
    assert np.diff(whole) == pytest.approx(np.diff(part), rel=0.05)
    assert (whole > part).all()


@pytest.mark.parametrize("law", LAWS)
def test_a_law_survives_json(law: LossLaw) -> None:
    text = json.dumps(law.to_dict(), allow_nan=False)
    assert type(law).from_dict(json.loads(text)) == law


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "x"}, "not a law document"),
        ({"version": 2}, "version 2 is not 1"),
        ({"law": "multi-power"}, "not 'annealing'"),
        ({"extra": 1.0}, "extra"),
        ({"L0": "a"}, "L0 .* got 'a'"),
        ({"L0": -1.0}, "L0 .* got -1.0"),
        ({"decay": 1.0}, "below 1"),
    ],
)
def test_a_wrong_document_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        AnnealingLaw.from_dict({**LAWS[0].to_dict(), **change})


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(DocumentError, match="write one with to_dict"):
        MultiPowerLaw.from_dict([])  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), True, "1", None])
def test_a_wrong_coefficient_is_refused(value: Any) -> None:
    with pytest.raises(InvalidScheduleError, match="A of the multi-power law"):
        MultiPowerLaw(2.0, value, 0.5, 1.0, 1.0, 0.5, 0.5)


@pytest.mark.parametrize("law", LAWS)
def test_wrong_arguments_are_refused(law: LossLaw) -> None:
    with pytest.raises(InvalidScheduleError, match="previous_sum must be finite and >= 0, got -1"):
        law.predict([PEAK], [1], previous_sum=-1.0)
    with pytest.raises(InvalidScheduleError, match="previous_rate"):
        law.final_loss([PEAK], previous_rate=float("nan"))
    with pytest.raises(InvalidScheduleError, match="up to the first step is 0"):
        law.predict([0.0, PEAK], [1, 2])
    with pytest.raises(InvalidScheduleError, match="got 3"):
        law.predict([PEAK, PEAK], [3])


def test_the_base_class_reads_any_law() -> None:
    for law in (AnnealingLaw(2.0, 0.5, 0.5, 0.4), MultiPowerLaw(2.0, 0.5, 0.5, 400, 2, 0.6, 0.6)):
        read = LossLaw.from_dict(law.to_dict())
        assert read == law
        assert type(read) is type(law)
    with pytest.raises(DocumentError, match="unknown law 'moore'; known: annealing, multi-power"):
        LossLaw.from_dict({**law.to_dict(), "law": "moore"})
