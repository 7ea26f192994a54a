"""What a finished run says about the next one: a longer budget, and a refined schedule.

    python examples/finished_run.py [--budget 400]

Trains a small network on digits with a constant rate and a cooldown (WSD), records gradient norms
and asks the theory: how to go on at twice the budget from the branch-off (Schaipp et al. 2025),
and which schedule the recorded norms suggest (Defazio et al. 2023). Both are trained, and the
refined one is exported as code that needs no lrsearch. One seed shows how; it proves nothing.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lrsearch import Schedule
from lrsearch.schedules import to_torch
from lrsearch.tasks import load_digits
from lrsearch.theory import lower_second_stage, rank_families, refine


def train(
    schedule: Schedule, states: list[Any] | None = None, save_at: int = -1
) -> tuple[float, list[float], list[Any]]:
    """Validation loss, the gradient norm of every update, and the states at a step."""
    torch.manual_seed(0)
    data = load_digits()
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=schedule.peak)
    scheduler = schedule.torch(optimizer)
    for thing, state in zip((model, optimizer, scheduler), states or (), strict=False):
        thing.load_state_dict(state)
    norms, saved = [], []
    for step in range(scheduler.last_epoch, schedule.budget):
        if step == save_at:
            saved = [copy.deepcopy(x.state_dict()) for x in (model, optimizer, scheduler)]
        draws = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(data.train.labels), (32,), generator=draws)
        loss = nn.functional.cross_entropy(
            model(data.train.images[chosen]), data.train.labels[chosen]
        )
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(nn.utils.get_total_norm(p.grad for p in model.parameters())))
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        held_out = nn.functional.cross_entropy(
            model(data.validation.images), data.validation.labels
        )
    return float(held_out), norms, saved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=int, default=400, help="optimizer steps (default 400)")
    parser.add_argument("--out", type=Path, default=Path("refined.py"), help="exported code")
    options = parser.parse_args()
    torch.set_num_threads(1)

    best = rank_families(options.budget, ["linear", "cosine", "wsd", "rex", "constant"])
    print("the convex bound ranks:", " < ".join(ranked.family for ranked in best))

    finished = Schedule("wsd", peak=0.8, budget=options.budget, warmup_steps=options.budget // 20)
    loss, norms, checkpoint = train(finished, save_at=finished.stable_steps)
    print(f"finished run, {finished.budget} steps: validation loss {loss:.4f}")

    longer = lower_second_stage(finished, 2 * options.budget)
    print(
        f"twice the budget, from the checkpoint of step {finished.stable_steps} on with "
        f"{longer.provenance['factor']:.2f} times the peak: {train(longer, checkpoint)[0]:.4f}"
    )
    refined = refine(finished, norms)
    print(f"refined, peak {refined.peak:.2f}: {train(refined)[0]:.4f}")
    options.out.write_text(to_torch(refined))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
