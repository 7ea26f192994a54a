"""Let a tuner set the learning rate: greedy steps, steps on the edge, and what is left of them.

    python examples/tuner.py [--steps 2000] [--out schedule.json]

A tanh network on 500 digits with the squared error, full batch (Roulet et al. 2024). Greedy steps
(sigma 1) lead at first, while their rate falls and the sharpness rises; steps on the edge (sigma 2)
end lower. What those did is saved as a schedule that trains without the tuner, at 1 gradient a step
instead of 3.5: nearly as well, for nobody holds it at the edge any more. Takes about a minute.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from torch import Tensor, nn

from lrsearch.schedules import distilled
from lrsearch.stability import Reading, phases
from lrsearch.tasks import load_digits
from lrsearch.tuners import CDAT


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 100), nn.Tanh(), nn.Linear(100, 10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps (default 2000)")
    parser.add_argument("--out", default="schedule.json", help="file for what the tuner did")
    options = parser.parse_args()

    torch.set_num_threads(1)
    data = load_digits().train
    images, labels = data.images[:500].flatten(1), data.labels[:500]
    wanted = nn.functional.one_hot(labels, 10).float()

    def loss_of(model: nn.Module) -> Tensor:
        return 0.5 * (model(images) - wanted).square().sum(1).mean()

    trajectories: dict[float, list[Reading]] = {}
    for sigma in (1.0, 2.0):
        model = network()
        tuner = CDAT(torch.optim.SGD(model.parameters(), lr=0.1), sigma=sigma)
        seen = trajectories[sigma] = []
        for step in range(1, options.steps + 1):
            loss = tuner.step(lambda model=model: loss_of(model))
            if tuner.reading is not None:
                seen.append(replace(tuner.reading, budget=options.steps))
            if step in (10, options.steps // 4, options.steps):
                print(
                    f"sigma {sigma:g}, step {step:4d}: loss {loss.item():.5f}, learning rate "
                    f"{tuner.learning_rate:.3f}, cost {tuner.cost:.0f} gradients"
                )
        for said in phases(seen[:: max(1, options.steps // 50)]):
            print(f"  {said.reason}")

    rates = [reading.learning_rate for reading in trajectories[2.0]]
    schedule = distilled(range(1, options.steps + 1), rates, options.steps)
    schedule.save(options.out)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=schedule.peak)
    scheduler = schedule.torch(optimizer)
    for _ in range(options.steps):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
        scheduler.step()
    print(f"its schedule, without it: loss {loss.item():.5f}, cost {options.steps} gradients")


if __name__ == "__main__":
    main()
