"""What a measurement costs, in gradients (one forward and backward pass on the same batch).

Measured on CPU over an MLP, a CNN and a transformer (studies/curvature_cost): medians, to one
digit after the point where it matters. A GPU's ratios differ by tens of per cent.
"""

from __future__ import annotations

FORWARD = 0.35
GRAPH = 1.0  # a gradient whose graph is kept for double backward
DOUBLE_BACKWARD = 2.1  # per product, on a graph that is there
FORWARD_OVER_REVERSE = 4.3
FINITE_DIFFERENCE = 2.1
GAUSS_NEWTON_GRAPHS = 1.7
GAUSS_NEWTON = 1.8
