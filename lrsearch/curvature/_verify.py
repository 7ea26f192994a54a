"""Whether second derivatives can be trusted: autograd drops some of them without a word.

Where a function's backward pass is not made of differentiable operations, double backward takes it
for a constant: ``autograd.grad`` never reaches the node that would complain (a function that is
``once_differentiable``), or there is none (kernels called by hand). So the graph is searched for
such functions, and where there are any a product is checked against gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.autograd.function import BackwardCFunction

AGREEMENT = 0.25  # with finite differences, of v'Hv; a wrong backend is wrong by far more
SYMMETRY = 0.02
# What cannot be differentiated twice; the second takes the norms for constants (up to torch 2.13).
ONCE = {
    "torch::autograd::Error": "a function in the loss is once_differentiable",
    "WeightNormInterfaceBackward0": "torch's second derivative of weight_norm is not right",
}


def doubtful(roots: Sequence[Tensor]) -> bool:
    """Whether a graph has functions whose second derivative may be missing; cost: a walk over it.

    Raises:
        NotImplementedError: If one is known not to be differentiable twice.
    """
    waiting = [t.grad_fn for t in roots]
    seen, found = set(waiting), False
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        name = node.name()
        if name in ONCE:
            raise NotImplementedError(ONCE[name])
        found = found or isinstance(node, BackwardCFunction)
        fresh = {following for following, _ in node.next_functions} - seen
        seen |= fresh
        waiting.extend(fresh)
    return found


def disagreement(
    product: Callable[[Tensor], Tensor],
    reference: Callable[[Tensor], Tensor],
    v: Tensor,
    u: Tensor,
) -> str | None:
    """What is wrong with products, if anything: they are symmetric, and as gradients have them.

    Args:
        product: Products to check.
        reference: The same from gradients; rounding and kinks make it rough.
        v: Where both are compared: along the gradient the kinks of a ReLU matter least.
        u: Any other vector.
    """
    hv, length = product(v), float(v.norm())
    u = u / u.norm() + (hv / hv.norm() if hv.any() else 0.0)  # random alone sees too little of it
    hu, width = product(u), float(u.norm())
    found, expected = float(v @ hv), float(v @ reference(v))
    crossed, other = float(u @ hv), float(v @ hu)
    size = max(float(hv.norm()) / length, float(hu.norm()) / width)
    if not abs(crossed - other) <= SYMMETRY * size * length * width:  # nan is wrong as well
        return f"not symmetric: u'Hv = {crossed:.4g}, v'Hu = {other:.4g}"
    if not abs(found - expected) <= AGREEMENT * max(abs(expected), 0.1 * size * length**2):
        return f"v'Hv = {found:.4g}, from gradients {expected:.4g}"
    return None
