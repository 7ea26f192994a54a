"""The published curves, coefficients, figures and schedules of arXiv 2503.12811.

Read from `../shared/data/multipowerlaw` beside the repository (or `$LRSEARCH_DATA`): the folders
`loss_curve_repo/csv_*` and `optimized_schedules` of the authors' public repository (MIT licence).
"""

import os
from pathlib import Path

import numpy as np

from lrsearch.theory import Curve, MultiPowerLaw

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LRSEARCH_DATA", ROOT.parent / "shared" / "data")) / "multipowerlaw"

SIZES = ("25", "100", "400")
TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
TEST = (
    "constant_72000",
    "cosine_72000",
    "wsd_20000_24000",
    "wsdld_20000_24000",
    "wsdcon_3",
    "wsdcon_18",
)
PEAK, END, WARMUP, STEPS = 3e-4, 3e-5, 2160, 24_000
# What came before the end of the warm-up, for schedules that begin there.
PAST = {"previous_rate": PEAK, "previous_sum": 0.5 * PEAK * WARMUP}

LAWS = {
    "25": MultiPowerLaw(
        3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257
    ),
    "100": MultiPowerLaw(
        2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644
    ),
    "400": MultiPowerLaw(
        2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457
    ),
}
# Means over the six test curves: R2, MAE, RMSE, mean and worst relative error.
FIGURES = {
    "25": (0.9988, 0.00376, 0.00465, 0.00110, 0.00409),
    "100": (0.9983, 0.00435, 0.00592, 0.00142, 0.00583),
    "400": (0.9978, 0.00484, 0.00730, 0.00168, 0.00995),
}
# Final loss of the published schedules under the published coefficients, from the authors' logs.
OPTIMUM = {"25": 3.149677, "100": 2.794137, "400": 2.533219}


def learning_rates(name: str) -> np.ndarray:
    """The learning rate of every update, warm-up (linear from 0) included."""
    warmup = np.linspace(0.0, PEAK, WARMUP)
    kind, _, rest = name.partition("_")
    if kind == "wsdcon":
        low = np.full(8000, int(rest) * 1e-5)
        return np.concatenate([warmup, np.full(8000 - WARMUP, PEAK), low])
    if kind in ("wsd", "wsdld"):
        x = np.arange(4000) / 4000
        decay = PEAK ** (1 - x) * END**x if kind == "wsd" else PEAK * (1 - x) + END * x
        return np.concatenate([warmup, np.full(20_000 - WARMUP, PEAK), decay])
    x = np.arange(int(rest) - WARMUP) / (int(rest) - WARMUP)
    falling = END + 0.5 * (PEAK - END) * (1 + np.cos(np.pi * x))
    return np.concatenate([warmup, falling if kind == "cosine" else np.full(len(x), PEAK)])


def curve(size: str, name: str) -> Curve:
    """One curve. The files number updates from 0: row `s` is the loss after `s + 1` updates."""
    table = np.genfromtxt(DATA / f"csv_{size}" / f"{name}.csv", delimiter=",", skip_header=1)
    return Curve(learning_rates(name), table[:, 0].astype(int) + 1, table[:, 2])


def schedule(size: str) -> np.ndarray:
    """The published optimised schedule, from the end of the warm-up, (21840,)."""
    return np.load(DATA / "optimized_schedules" / f"{size}.npy")
