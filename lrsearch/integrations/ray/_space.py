"""Search spaces between two worlds: ours as Tune's domains, a user's Tune domains as Optuna's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.variant_generator import parse_spec_vars

from lrsearch.exceptions import InvalidSpaceError
from lrsearch.search import ScheduleSpace

Distributions = dict[str, optuna.distributions.BaseDistribution]


def param_space(space: ScheduleSpace) -> dict[str, Any]:
    """A schedule space as Tune's search space, for Tune's own searchers.

    Every shape parameter of every family is in it, for Tune's spaces know no conditions; those of
    families that a trial has not got are ignored.
    """
    found: dict[str, Any] = {}
    for dimension in space.dimensions():
        if dimension.choices:
            found[dimension.name] = tune.choice(list(dimension.choices))
        elif dimension.log:
            found[dimension.name] = tune.loguniform(dimension.low, dimension.high)
        else:
            found[dimension.name] = tune.uniform(dimension.low, dimension.high)
    return found


def distributions_of(config: Mapping[str, Any], space: ScheduleSpace) -> Distributions:
    """The parameters beside ours in a Tune config, as Optuna's distributions.

    Raises:
        InvalidSpaceError: If one has the name of a dimension of ours, or is a kind that Optuna has
            not (grid search, sampling functions).
    """
    _, domains, grids = parse_spec_vars(dict(config))
    if grids:
        raise InvalidSpaceError(
            f"grid_search of {['/'.join(path) for path, _ in grids]} cannot be searched by "
            "EdgeSearcher: use tune.choice."
        )
    if not domains:
        return {}
    names = {dimension.name for dimension in space.dimensions()}
    if taken := sorted(names & {"/".join(path) for path, _ in domains}):
        raise InvalidSpaceError(
            f"param_space holds {taken}, which EdgeSearcher suggests itself: leave "
            "lrsearch.ray.param_space out, it is for Tune's own searchers."
        )
    try:
        found: Distributions = OptunaSearch.convert_search_space(dict(config))
    except ValueError as error:
        raise InvalidSpaceError(f"param_space cannot be searched: {error}.") from error
    return found
