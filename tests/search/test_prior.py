"""What is believed before the first trial."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import truncnorm

from lrsearch.schedules import families
from lrsearch.search import _prior as prior
from lrsearch.search._space import DEFAULT_FAMILIES
from lrsearch.theory import rank_families

few = settings(max_examples=60, deadline=None, derandomize=True)


def test_van_der_corput_begins_as_it_should() -> None:
    points = [prior.van_der_corput(i) for i in range(1, 8)]
    assert points == [1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]
    assert prior.van_der_corput(0) == 0.0


@pytest.mark.parametrize("bits", [1, 4, 7])
def test_van_der_corput_fills_every_cell_once(bits: int) -> None:
    cells = [int(prior.van_der_corput(i) * 2**bits) for i in range(2**bits)]
    assert sorted(cells) == list(range(2**bits))


def test_every_family_has_a_weight() -> None:
    assert set(prior.FAMILY_WEIGHTS) == set(families())
    assert sum(prior.FAMILY_WEIGHTS[name] for name in DEFAULT_FAMILIES) == pytest.approx(1.0)
    assert min(DEFAULT_FAMILIES, key=prior.FAMILY_WEIGHTS.__getitem__) == "constant"


def test_weights_follow_the_bound() -> None:
    linear, *_ = (r.bound for r in rank_families(400) if r.family == "linear")
    for ranked in rank_families(400):
        if ranked.family not in DEFAULT_FAMILIES:
            behind = ranked.bound / linear - 1
            expected = 0.2 if behind < 0.06 else 0.1 if behind < 0.16 else 0.05
            assert prior.FAMILY_WEIGHTS[ranked.family] == expected, (ranked.family, behind)


def test_weights_of_some_families() -> None:
    weights = prior.family_weights(("uba", "constant"))
    assert list(weights) == ["uba", "constant"]
    assert weights == pytest.approx({"uba": 0.8, "constant": 0.2})
    stranger = prior.family_weights(("uba", "cycle"))
    assert stranger == pytest.approx({"uba": 0.5, "cycle": 0.5})


def test_apportioned_gives_each_its_share() -> None:
    weights = prior.family_weights(DEFAULT_FAMILIES)
    seen = Counter(prior.apportioned(weights, i) for i in range(100))
    assert seen == {"linear": 25, "cosine": 25, "wsd": 25, "uba": 20, "constant": 5}
    first = [prior.apportioned(weights, i) for i in range(4)]
    assert first == ["linear", "cosine", "wsd", "uba"]


@few
@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=6), st.integers(0, 60))
def test_no_family_waits_longer_than_a_round(raw: list[float], turns: int) -> None:
    total = sum(raw)
    weights = {f"f{i}": share / total for i, share in enumerate(raw)}
    seen = Counter(prior.apportioned(weights, i) for i in range(turns))
    # The one most behind is served: nobody is ever a whole trial ahead of its share.
    assert all(seen[name] - weights[name] * turns < 1.0 for name in weights)


@few
@given(st.floats(0.0, 1.0), st.floats(-4.0, 3.0), st.floats(0.1, 6.0))
def test_quantiles_of_the_cut_prior(q: float, low: float, length: float) -> None:
    high = low + length
    cut = ((low - prior.CENTER) / prior.SPREAD, (high - prior.CENTER) / prior.SPREAD)
    expected = truncnorm(*cut, loc=prior.CENTER, scale=prior.SPREAD).ppf(q)
    found = prior.multiplier_quantile(q, 2.0**low, 2.0**high)
    assert 2.0**low <= found <= 2.0**high
    assert math.log2(found) == pytest.approx(expected, abs=1e-5)


def test_quantiles_in_octaves_by_hand() -> None:
    assert prior.multiplier_quantile(0.5, 0.125, 8.0) == pytest.approx(1.0)
    wide = math.log2(prior.multiplier_quantile(0.8413447, 2.0**-20, 2.0**20))
    assert wide == pytest.approx(prior.CENTER + prior.SPREAD, abs=1e-5)  # one standard deviation
    assert prior.multiplier_quantile(0.0, 0.125, 8.0) == pytest.approx(0.125)
    assert prior.multiplier_quantile(1.0, 0.125, 8.0) == pytest.approx(8.0)
