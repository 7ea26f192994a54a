"""A schedule as Hugging Face transformers' own, where exactly that shape exists there.

Their `linear`, `cosine`, `cosine_with_min_lr`, `cosine_with_restarts`, `polynomial`,
`inverse_sqrt`, `warmup_stable_decay` and `constant` have the formulas of ours. Their warm-up
differs: it is `step / W`, so that the first update has a learning rate of 0. Nothing is imported:
what comes out is plain data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrsearch.exceptions import UnsupportedError
from lrsearch.schedules._refuse_averaging import refuse_averaging
from lrsearch.schedules._refuse_tuner import refuse_tuner
from lrsearch.schedules.shapes._wsd import cooldown_steps

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule

_INSTEAD = (
    "give the Trainer ours instead: Trainer(..., optimizers=(optimizer, schedule.torch(optimizer)))"
)


def training_arguments(schedule: Schedule, *, approximate: bool = False) -> dict[str, Any]:
    """Return keyword arguments of `TrainingArguments` that give the same learning rates.

    Raises:
        UnsupportedError: If there is no such shape; see the module. With `approximate=True` a
            warm-up passes that differs by at most `1 / (W + 1)` of the peak, at its first update
            (by more in a wsd with an end: there the warm-up starts from the end).
    """
    name, details = _equivalent(schedule)
    if schedule.warmup_steps and not approximate:
        raise UnsupportedError(
            f"Hugging Face's warm-up starts at 0 and reaches step / {schedule.warmup_steps} of the "
            f"peak where ours has (step + 1) / {schedule.warmup_steps + 1}: {_INSTEAD}; or accept "
            "that difference with approximate=True"
        )
    if name == "constant" and schedule.warmup_steps:
        name = "constant_with_warmup"
    arguments: dict[str, Any] = {
        "learning_rate": schedule.peak,
        "lr_scheduler_type": name,
        "warmup_steps": schedule.warmup_steps,
        "max_steps": schedule.budget,
    }
    return {**arguments, "lr_scheduler_kwargs": details} if details else arguments


def scheduler_arguments(schedule: Schedule, *, approximate: bool = False) -> dict[str, Any]:
    """Return keyword arguments of `transformers.get_scheduler`, for an optimizer with `lr = peak`.

    A cosine with a warm-up exists here exactly (`cosine_warmup_with_min_lr`, told one step more of
    warm-up and of training), while a Trainer would then make one more update.

    Raises:
        UnsupportedError: If there is no such shape; as `training_arguments`.
    """
    if schedule.family == "cosine" and schedule.warmup_steps:
        refuse_averaging(schedule, "Hugging Face's get_scheduler")
        return {
            "name": "cosine_warmup_with_min_lr",
            "num_warmup_steps": schedule.warmup_steps + 1,
            "num_training_steps": schedule.budget + 1,
            "scheduler_specific_kwargs": {"min_lr_rate": schedule.end_value / schedule.peak},
        }
    arguments = training_arguments(schedule, approximate=approximate)
    return {
        "name": arguments["lr_scheduler_type"],
        "num_warmup_steps": arguments["warmup_steps"],
        "num_training_steps": arguments["max_steps"],
        "scheduler_specific_kwargs": arguments.get("lr_scheduler_kwargs", {}),
    }


def _equivalent(schedule: Schedule) -> tuple[str, dict[str, Any]]:
    """Return their name of the shape, and the arguments of its own."""
    refuse_averaging(schedule, "Hugging Face's Trainer")
    refuse_tuner(schedule, "Hugging Face's Trainer")
    shape, end = schedule.parameters, schedule.end_value
    match schedule.family:
        case "constant":
            return "constant", {}
        case "linear":
            return ("polynomial", {"lr_end": end, "power": 1.0}) if end else ("linear", {})
        case "polynomial":
            return "polynomial", {"lr_end": end, "power": shape["power"]}
        case "cosine":
            return ("cosine_with_min_lr", {"min_lr": end}) if end else ("cosine", {})
        case "cosine_restarts" if not end and _restarts_where_ours_do(schedule):
            return "cosine_with_restarts", {"num_cycles": int(shape["cycles"])}
        case "inverse_sqrt" if not end:
            timescale = shape["timescale"] * schedule.budget
            if timescale > 1e-6 * schedule.warmup_steps:  # below, their formula cancels
                return "inverse_sqrt", {"timescale": timescale}
        case "wsd" if shape["cooldown_shape"] in ("linear", "cosine", "1-sqrt"):
            return "warmup_stable_decay", {
                "num_decay_steps": cooldown_steps(schedule.budget, shape),
                "decay_type": shape["cooldown_shape"],
                "min_lr_ratio": end / schedule.peak,
            }
    raise UnsupportedError(
        f"Hugging Face has no schedule equal to {schedule.family} with "
        f"{ {k: v for k, v in shape.items() if not isinstance(v, tuple)} } and an end of {end:g}: "
        f"{_INSTEAD}"
    )


def _restarts_where_ours_do(schedule: Schedule) -> bool:
    """Whether their rounding-prone formula starts every cycle at the step at which ours does."""
    steps, cycles = schedule.span.steps, int(schedule.parameters["cycles"])
    if schedule.parameters["growth"] != 1.0:
        return False
    starts = [(2 * k * steps + cycles) // (2 * cycles) for k in range(1, cycles)]
    return all((cycles * (start / steps)) % 1.0 == 0.0 for start in starts)
