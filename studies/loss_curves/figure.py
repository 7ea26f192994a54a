"""figure.png from raw/: predictions of the 400M curves, and the optimised schedules."""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from lrsearch.theory import AnnealingLaw, MultiPowerLaw

sys.path.insert(0, str(Path(__file__).parent))
from published import PEAK, SIZES, STEPS, WARMUP, curve, schedule

HERE = Path(__file__).parent
SHOWN = ("wsd_20000_24000", "wsdcon_3", "cosine_72000")
LAWS = {"multi-power": "tab:blue", "annealing": "tab:orange"}


def main() -> None:
    """One row of predictions, one of schedules."""
    raw = {size: json.loads((HERE / "raw" / f"{size}.json").read_text()) for size in SIZES}
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.5), layout="constrained")
    for ax, name in zip(axes[0], SHOWN, strict=True):
        known = curve("400", name)
        late = known.steps > 4000
        ax.plot(known.steps[late], known.losses[late], ".", color="0.6", ms=3, label="recorded")
        for law_name, colour in LAWS.items():
            kind = AnnealingLaw if law_name == "annealing" else MultiPowerLaw
            law = kind.from_dict(raw["400"]["fits"][law_name]["law"])
            predicted = law.predict(known.learning_rates, known.steps)
            ax.plot(known.steps[late], predicted[late], color=colour, lw=1, label=law_name)
        ax.set(title=f"400M, {name} (not fitted)", xlabel="update", ylabel="loss")
    axes[0, 0].legend(frameon=False)
    x = np.arange(WARMUP, STEPS)
    for ax, size in zip(axes[1], SIZES, strict=True):
        ax.plot(x, schedule(size) / PEAK, color="0.6", lw=4, label="published schedule")
        for name, colour in (("published", "black"), *LAWS.items()):
            levels = raw[size]["optima"][name]["levels"]
            label = "ours, published law" if name == "published" else f"ours, {name}"
            at = np.linspace(WARMUP, STEPS, len(levels))
            ax.plot(at, levels, color=colour, lw=1, label=label)
        ax.set(
            title=f"{size}M, optimised", xlabel="update", ylabel="rate / peak", xlim=(16e3, 24e3)
        )
    axes[1, 0].legend(frameon=False)
    figure.savefig(HERE / "figure.png", dpi=110)


if __name__ == "__main__":
    main()
