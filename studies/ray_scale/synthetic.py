"""The training function of all arms: a loss curve from a formula, no torch, a dozen results.

Every result carries what a watched run's carries: a full `Reading`. So Tune moves the same bytes
whoever searches.
"""

from typing import Any

BUDGET, RESULTS, EDGE = 600, 12, 0.1
METRIC, MODE = "loss", "min"


def loss_at(multiplier: float, progress: float) -> float:
    """A run that falls from 2.3; the final loss is best at multiplier 1.3."""
    import math

    final = 0.1 * (1 + 0.3 * math.log2(multiplier / 1.3) ** 2)
    return final + (2.3 - final) * math.exp(-6 * progress)


def reading_at(multiplier: float, step: int) -> dict[str, Any]:
    """A reading as a watch would take it there, every field of the common case filled."""
    from lrsearch.stability import Reading

    loss = loss_at(multiplier, step / BUDGET)
    rate = EDGE * multiplier * (1 - 0.99 * step / BUDGET)
    return Reading(
        step=step,
        learning_rate=rate,
        budget=BUDGET,
        peak=EDGE * multiplier,
        loss=loss,
        initial_loss=2.3,
        initial_spread=0.0431234567,
        batch_loss=loss * 1.01234567,
        annealed_loss=loss * 0.91234567,
        gradient_norm=0.71234567 * loss,
        update_norm=rate * 0.71234567 * loss,
        weight_norm=15.1234567,
        displacement=0.01234567 * step,
        decrease_ratio=0.5123456,
        sharpness=1.7 / rate,
        slope=0.0123456,
        batch_sharpness=1.6 / rate,
        threshold=2.0,
        cost=0.02 * step,
    ).to_dict()


def train(config: dict[str, Any]) -> None:
    """Tune's trainable. Travels by value; imports what it needs where it runs."""
    import os

    from ray import tune

    multiplier = config["edge_multiplier"]
    for turn in range(1, RESULTS + 1):
        step = BUDGET * turn // RESULTS
        pairs: list[tuple[str, Any]] = []
        if turn == 1:
            pairs.append(("lrsearch:start", {"host": "node", "pid": os.getpid(), "step": 0}))
        pairs.append((f"lrsearch:reading:{step:010d}", reading_at(multiplier, step)))
        if turn == RESULTS:
            pairs.append(("lrsearch:cost", {"steps": float(BUDGET), "watch": 12.0}))
        tune.report(
            {
                METRIC: loss_at(multiplier, step / BUDGET),
                "lrsearch_step": step,
                "lrsearch": tuple(pairs),
            }
        )
