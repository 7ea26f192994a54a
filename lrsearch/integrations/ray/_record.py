"""What travels in a Tune result: the attributes that a study would keep, as a tuple of pairs.

Tune flattens nested dicts on their way to searchers and trial schedulers, and its TensorBoard
logger takes lists for histograms; a tuple of ``(attribute, value)`` arrives as it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lrsearch.integrations.optuna._attributes import plan_of, readings_of
from lrsearch.search import Plan
from lrsearch.stability import Reading

CONFIG_KEY = "lrsearch"  # in a trial's config: what our searcher says beside the point itself
RECORD_KEY = "lrsearch"  # in a result: the pairs
STEP_KEY = "lrsearch_step"  # in a result: optimizer steps done
START_KEY = "lrsearch:start"  # pair: an attempt at the trial began
CHECKPOINT_KEY = "lrsearch:checkpoint"  # attribute of a study's trial: where its checkpoint is

Pairs = tuple[tuple[str, Any], ...]


def pairs_of(result: Mapping[str, Any] | None) -> Pairs:
    """The pairs in a result, also in one that was read back from JSON."""
    found = (result or {}).get(RECORD_KEY) or ()
    return tuple((str(name), value) for name, value in found)


def step_of(result: Mapping[str, Any] | None) -> int | None:
    """Optimizer steps done by the time of a result, where it tells."""
    step = (result or {}).get(STEP_KEY)
    return None if step is None else int(step)


def address_of(checkpoint: Any, root: str) -> str:
    """Path or URI of a Tune checkpoint, given the path or URI under which Tune keeps its files."""
    scheme, separator, _ = root.partition("://")
    return f"{scheme}://{checkpoint.path}" if separator else str(checkpoint.path)


def readings_in(pairs: Iterable[tuple[str, Any]]) -> list[Reading]:
    """The readings among pairs, by step."""
    return readings_of(dict(pairs))


def plan_in(pairs: Iterable[tuple[str, Any]]) -> Plan | None:
    """The plan among pairs, if there is one."""
    return plan_of(dict(pairs))
