"""The schedule of a Tune result, for export."""

from __future__ import annotations

from ray.tune import ResultGrid
from ray.tune.result_grid import Result

from lrsearch.exceptions import StudyMismatchError
from lrsearch.integrations.ray._record import CONFIG_KEY, pairs_of, plan_in
from lrsearch.schedules import Schedule, get_family
from lrsearch.search import Plan


def best_schedule(
    results: ResultGrid | Result, metric: str | None = None, mode: str | None = None
) -> Schedule:
    """The schedule of the best trial of an experiment, or of one result of it.

    Args:
        results: What ``tuner.fit()`` returned, or one of its results.
        metric: Name of the metric; the Tuner's own by default.
        mode: "min" or "max"; the Tuner's own by default.

    Raises:
        StudyMismatchError: If no trial has reported the metric, it has no schedule of lrsearch, or
            a tuner set its rate: the searcher's study knows what it did.
    """
    result = results
    if isinstance(results, ResultGrid):
        try:
            result = results.get_best_result(metric, mode)
        except RuntimeError as error:  # Tune's sentence for: nothing there
            raise StudyMismatchError(
                f"no trial of this experiment has a finite metric: {error}"
            ) from error
    pairs = pairs_of(result.metrics)
    own = (result.config or {}).get(CONFIG_KEY) or {}
    plan = plan_in(pairs)
    if plan is None and "plan" in own:
        plan = Plan.from_dict(own["plan"])
    if plan is None:
        raise StudyMismatchError(
            "this result has no schedule of lrsearch: report it with trial.report(metrics), where "
            "trial comes from lrsearch.ray.trial(config), after space.suggest(trial, edge)."
        )
    if get_family(plan.family).tuned:
        raise StudyMismatchError(
            f"the rate of this trial was set by {plan.family!r} while training, and what was done "
            "stands in the study that the searcher keeps: take "
            "lrsearch.best_schedule(searcher.study) of your EdgeSearcher."
        )
    name = metric or (_name(results) if isinstance(results, ResultGrid) else None)
    value = result.metrics.get(name) if name else None
    return plan.schedule(
        trial=result.metrics.get("trial_id"),
        **({} if value is None else {"metric": value}),
        **({} if own.get("seed") is None else {"seed": own["seed"]}),
    )


def _name(results: ResultGrid) -> str | None:
    name: str | None = results._experiment_analysis.default_metric
    return name
