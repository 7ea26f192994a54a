"""The host protocol can be told at run time."""

from __future__ import annotations

from collections.abc import Sequence

from lrsearch.stability import CONTINUE, Host, Reading, Verdict


class Listener:
    budget: int | None = None
    peak: float | None = None

    def emit(self, reading: Reading) -> None: ...

    def decide(self, readings: Sequence[Reading]) -> Verdict:
        return CONTINUE

    def stop(self, verdict: Verdict) -> None: ...


class Deaf:
    budget: int | None = None
    peak: float | None = None

    def decide(self, readings: Sequence[Reading]) -> Verdict:
        return CONTINUE

    def stop(self, verdict: Verdict) -> None: ...


def test_a_host_is_known_by_what_it_can_do() -> None:
    assert isinstance(Listener(), Host)
    assert not isinstance(Deaf(), Host)
    assert not isinstance(object(), Host)
