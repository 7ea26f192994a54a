"""What a measurement costs, in gradients (one forward and backward pass on the same batch).

Medians over an MLP, a CNN and a transformer at batches of 64 to 1,024 on one CPU thread, rounded
(studies/curvature_cost). They differ by a quarter from model to model, and on other devices.
"""

from __future__ import annotations

FORWARD = 0.4
GRAPH = 1.0  # a gradient whose graph is kept for double backward
DOUBLE_BACKWARD = 2.5  # per product, on a graph that is there
FORWARD_OVER_REVERSE = 5.1
FINITE_DIFFERENCE = 2.6
GAUSS_NEWTON_GRAPHS = 1.1
GAUSS_NEWTON = 1.6
