"""Tuners as families: nobody plans their rate, a rule sets it while training.

Their shape says only what is known before: a nominal rate, the peak, throughout. What they did is a
schedule afterwards (`lrsearch.schedules.distilled`).

- cdat[^1]: ``sigma`` over the curvature along the update; the peak says nothing of its own
- clara[^2]: begins at the peak, and moves by the length of its path

[^1]: Roulet et al., "Stepping on the Edge: Curvature Aware Learning Rate Tuners", NeurIPS 2024,
    arXiv 2407.06183.
[^2]: Atamna et al., 2025, arXiv 2508.05408.
"""

from __future__ import annotations

from dataclasses import replace

from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules.shapes._classic import CONSTANT

_NOMINAL = replace(CONSTANT, tuned=True)

CDAT = replace(
    _NOMINAL,
    name="cdat",
    summary="a tuner: sigma over the curvature along the update, 3.5 gradients a step",
    gradients=3.5,
    per_multiplier={"sigma": 2.0},
    parameters=(
        Parameter(
            "sigma",
            default=2.0,
            low=0.5,
            high=4.0,
            log=True,
            minimum=0.0,
            exclusive_minimum=True,
            matters=False,
            doc="scale, 2 at the edge; in a space twice the multiplier, if nothing is said",
        ),
        Parameter(
            "decay",
            default=0.9,
            searched=(0.9, 0.0, 0.99),
            minimum=0.0,
            maximum=1.0,
            exclusive_maximum=True,
            matters=False,
            doc="of the averages of slope and curvature; 0 in full batch",
        ),
        Parameter(
            "curvature",
            default="product",
            choices=("product", "forward"),
            matters=False,
            doc="by double backward, or from losses where there is no second derivative",
        ),
    ),
)
CLARA = replace(
    _NOMINAL,
    name="clara",
    summary="a tuner: begins at the peak, moves by how long its path is beside a random one",
    parameters=(
        Parameter(
            "damping",
            default=1e-3,
            low=3e-4,
            high=1e-2,
            log=True,
            minimum=0.0,
            exclusive_minimum=True,
            doc="how far one step may move the rate",
        ),
        Parameter(
            "cumulation",
            default=0.2,
            low=0.05,
            high=0.5,
            log=True,
            minimum=0.0,
            maximum=1.0,
            exclusive_minimum=True,
            exclusive_maximum=True,
            matters=False,
            doc="share of the newest step in the path",
        ),
    ),
)
