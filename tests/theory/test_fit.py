"""Fits find a known law again, say how well they fit, and refuse what cannot be fitted."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule
from lrsearch.theory import (
    AnnealingLaw,
    Curve,
    LossLaw,
    MultiPowerLaw,
    fit_annealing_law,
    fit_multi_power_law,
    r_squared,
)

PEAK = 3e-4
ANNEALING = AnnealingLaw(L0=2.5, A=0.6, alpha=0.5, C=0.4)
MULTI = MultiPowerLaw(L0=2.4, A=0.65, alpha=0.43, B=500.0, C=2.0, beta=0.6, gamma=0.63)
STEPS = np.arange(300, 4001, 50)


def rates(kind: str, peak: float = PEAK) -> np.ndarray:
    """One of four schedules of 4000 updates, 200 of them warm-up."""
    if kind.startswith("drop"):
        constant = Schedule("constant", peak, 4000, warmup_steps=200).values()
        return np.where(np.arange(4000) < 1500, constant, float(kind[4:]) * peak)
    return Schedule(kind, peak, 4000, warmup_steps=200).values()


def curves(law: LossLaw, kinds: list[str], noise: float = 0.0, scale: float = 1.0) -> list[Curve]:
    """Runs under a known law, in another unit of the learning rate where `scale` is not 1."""
    rng = np.random.default_rng(0)
    return [
        Curve(
            rates(kind) * scale,
            STEPS,
            law.predict(rates(kind), STEPS) * np.exp(noise * rng.standard_normal(len(STEPS))),
        )
        for kind in kinds
    ]


def test_the_annealing_law_is_found_again() -> None:
    fit = fit_annealing_law(curves(ANNEALING, ["cosine"]))
    assert fit.converged
    assert list(fit.law.to_dict().values())[3:] == pytest.approx(
        list(ANNEALING.to_dict().values())[3:], rel=1e-4
    )
    assert fit.mean_r2 == pytest.approx(1.0, abs=1e-9)
    assert fit.residual < 1e-7


def test_the_multi_power_law_is_found_again() -> None:
    known = curves(MULTI, ["cosine", "constant", "drop0.3", "drop0.1"])
    fit = fit_multi_power_law(known)
    assert fit.converged
    assert fit.reason
    assert list(fit.law.to_dict().values())[3:] == pytest.approx(
        list(MULTI.to_dict().values())[3:], rel=0.02
    )
    assert fit.residual < 5e-5
    assert min(fit.r2) > 0.99999


def test_noise_does_little_harm_to_predictions() -> None:
    fit = fit_multi_power_law(curves(MULTI, ["cosine", "constant", "drop0.3"], noise=1e-3))
    assert 5e-4 < fit.residual < 2e-3
    unseen = rates("linear")
    predicted = fit.law.predict(unseen, STEPS)
    assert predicted == pytest.approx(MULTI.predict(unseen, STEPS), rel=2e-3)
    assert r_squared(MULTI.predict(unseen, STEPS), predicted) > 0.999


def test_an_outlier_does_little_harm() -> None:
    known = curves(ANNEALING, ["cosine", "constant"], noise=3e-4)
    losses = known[0].losses.copy()
    losses[[5, 20, 40]] *= 1.5
    fit = fit_annealing_law([Curve(known[0].learning_rates, STEPS, losses), known[1]])
    assert fit.law.alpha == pytest.approx(0.5, rel=0.05)
    assert abs(fit.law.C - 0.4) < 0.02


def test_a_learning_rate_may_fall_to_zero() -> None:
    fit = fit_multi_power_law(curves(MULTI, ["cosine", "constant", "drop0.0"], noise=1e-3))
    assert min(fit.r2) > 0.99
    assert fit.residual < 2e-3


def test_the_same_curves_give_the_same_law() -> None:
    known = curves(MULTI, ["cosine", "constant"], noise=1e-3)
    assert fit_multi_power_law(known) == fit_multi_power_law(known)


def test_the_unit_of_the_learning_rate_does_not_matter() -> None:
    kinds = ["cosine", "constant", "drop0.3"]
    small = fit_multi_power_law(curves(MULTI, kinds, noise=1e-3)).law
    large = fit_multi_power_law(curves(MULTI, kinds, noise=1e-3, scale=1e3)).law
    predicted = [small.predict(rates("linear"), STEPS), large.predict(rates("linear", 0.3), STEPS)]
    assert predicted[0] == pytest.approx(predicted[1], rel=1e-4)


def test_coefficients_can_be_held() -> None:
    known = curves(MULTI, ["cosine", "constant"])
    fit = fit_multi_power_law(known, fixed={"beta": 0.6, "gamma": 0.63})
    assert (fit.law.beta, fit.law.gamma) == pytest.approx((0.6, 0.63), rel=1e-12)
    assert abs(fit.law.C - 2.0) < 0.1


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ({"C": 1.0}, "fixed may hold alpha, beta and gamma at numbers, got C = 1.0"),
        ({"beta": "0.5"}, "at numbers, got beta = '0.5'"),
        ({"beta": 0.0}, "fixed must hold beta between 0.01 and 100, got 0.0"),
        ({"gamma": float("inf")}, "fixed must hold gamma between 0.001 and 3, got inf"),
        ({"alpha": 50}, "fixed must hold alpha between 0.001 and 5, got 50"),
    ],
)
def test_what_cannot_be_held_is_refused(fixed: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidScheduleError, match=said):
        fit_multi_power_law(curves(MULTI, ["cosine", "constant"]), fixed=fixed)


def test_failed_losses_are_left_out_and_counted() -> None:
    known = curves(ANNEALING, ["cosine", "constant"])
    losses = known[0].losses.copy()
    losses[[3, 9]] = [np.nan, np.inf]
    fit = fit_annealing_law([Curve(known[0].learning_rates, STEPS, losses), known[1]])
    assert fit.dropped == 2
    assert "2 losses that failed were left out" in fit.reason
    assert abs(fit.law.C - 0.4) < 1e-4


def test_a_run_that_diverged_is_refused() -> None:
    known = curves(ANNEALING, ["cosine", "constant"])
    losses = known[1].losses.copy()
    losses[10:] = np.nan
    with pytest.raises(InvalidScheduleError, match="curve 1 has 10 usable losses of 75"):
        fit_annealing_law([known[0], Curve(known[1].learning_rates, STEPS, losses)])


def test_curves_that_do_not_anneal_are_refused() -> None:
    constant = curves(MULTI, ["constant", "constant"])
    with pytest.raises(InvalidScheduleError, match="no curve anneals"):
        fit_multi_power_law(constant)
    with pytest.raises(InvalidScheduleError, match="add a run with a decay"):
        fit_annealing_law(constant)


def test_a_decay_after_the_last_loss_is_none() -> None:
    early = Curve(rates("drop0.1"), STEPS[:20], MULTI.predict(rates("drop0.1"), STEPS[:20]))
    with pytest.raises(InvalidScheduleError, match="no curve anneals before its last loss"):
        fit_annealing_law([early])


def test_too_little_is_refused() -> None:
    with pytest.raises(InvalidScheduleError, match="at least 1 curve, got 0"):
        fit_annealing_law([])
    with pytest.raises(InvalidScheduleError, match="at least 2 curves, got 1"):
        fit_multi_power_law(curves(MULTI, ["cosine"]))
    short = Curve(rates("cosine"), [1000, 2000, 4000], [3.0, 2.9, 2.8])
    with pytest.raises(InvalidScheduleError, match="4 coefficients need at least 8 losses, got 3"):
        fit_annealing_law([short])
    for block in (0, 2.5, "a"):
        with pytest.raises(InvalidScheduleError, match=f"whole number >= 1 .* got {block!r}"):
            fit_multi_power_law(curves(MULTI, ["cosine", "constant"]), block=block)  # type: ignore[arg-type]
    for decay in (1.0, 1.5, float("nan"), "a"):
        with pytest.raises(InvalidScheduleError, match="decay must be >= 0 and < 1"):
            fit_annealing_law(curves(ANNEALING, ["cosine"]), decay=decay)  # type: ignore[arg-type]
    with pytest.raises(InvalidScheduleError, match="a list of Curve, got 1 in it"):
        fit_annealing_law([1, 2])  # type: ignore[list-item]


def test_exactly_enough_is_taken() -> None:
    steps = np.arange(300, 4000, 50)
    losses = ANNEALING.predict(rates("cosine"), steps).copy()
    losses[::2] = np.nan
    assert len(steps) == 74
    assert fit_annealing_law([Curve(rates("cosine"), steps, losses)]).dropped == 37
    seven = steps[::11]
    with pytest.raises(InvalidScheduleError, match="at least 8 losses, got 7"):
        fit_annealing_law(
            [Curve(rates("cosine"), seven, ANNEALING.predict(rates("cosine"), seven))]
        )
    slow = np.linspace(PEAK, 0.9 * PEAK, 4000)  # falls by a tenth of its peak
    assert fit_annealing_law([Curve(slow, steps, ANNEALING.predict(slow, steps))]).converged


def test_a_loss_before_any_movement_is_left_out() -> None:
    moved = np.concatenate([[0.0], rates("cosine")])
    losses = np.concatenate([[9.0], ANNEALING.predict(moved, STEPS)])
    fit = fit_annealing_law([Curve(moved, np.concatenate([[1], STEPS]), losses)])
    assert fit.dropped == 1


def test_what_curves_do_not_determine_is_said() -> None:
    """A logarithm has no exponent; one drop to one rate cannot tell C from gamma."""
    falling = [c.learning_rates for c in curves(ANNEALING, ["cosine", "constant"])]
    logarithms = [Curve(r, STEPS, 5.0 - 0.2 * np.log(np.cumsum(r)[STEPS - 1])) for r in falling]
    assert "these curves do not determine" in fit_annealing_law(logarithms).reason
    drop = fit_multi_power_law(curves(MULTI, ["constant", "drop0.3"], noise=1e-3))
    assert "gamma" in drop.reason


def test_a_gain_of_nothing_is_found_to_be_nothing() -> None:
    flat = AnnealingLaw(L0=2.5, A=0.6, alpha=0.5, C=0.0)
    fit = fit_annealing_law(curves(flat, ["cosine", "constant"]))
    assert fit.law.C < 1e-4


def test_r_squared() -> None:
    losses = np.array([1.0, 2.0, 3.0])
    assert r_squared(losses, losses) == 1.0
    assert r_squared(losses, np.full(3, 2.0)) == 0.0
    assert np.isnan(r_squared(np.ones(3), np.ones(3)))
