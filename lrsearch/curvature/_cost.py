"""What a measurement costs, in gradients (one forward and backward pass on the same batch).

Measured on CPU over an MLP, a CNN and a transformer at batch 128 and 1024: a forward pass took
0.34-0.42 of a gradient.
"""

from __future__ import annotations

FORWARD = 0.35
