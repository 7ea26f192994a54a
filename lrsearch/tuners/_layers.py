"""Layers of a model as parameter groups of its optimizer, so that each can have its own rate."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.exceptions import UnsupportedError

Layers = nn.Module | Sequence[Sequence[Tensor]]
"""A model, whose modules' own parameters (weight and bias together) are its layers, or a list of
lists of parameters."""


def split_by_layer(optimizer: Optimizer, layers: Layers) -> list[int]:
    """Split the optimizer's groups so that no group holds parameters of two layers, in place.

    Every new group has the options of the one it comes from; the optimizer's state is untouched. A
    parameter of two modules (tied weights) belongs to the first. Parameters of a layer that the
    optimizer does not have, frozen ones perhaps, do not count.

    Returns:
        The layer of each new group, numbered from 0 in the order of the groups.

    Raises:
        UnsupportedError: If a parameter of the optimizer is in no layer, or listed in two.
    """
    home = _homes(layers)
    groups, owners = [], []
    for group in optimizer.param_groups:
        members: dict[int, list[int]] = {}
        for i, p in enumerate(group["params"]):
            if id(p) not in home:
                raise UnsupportedError(
                    f"a parameter of shape {tuple(p.shape)} is in the optimizer and in no layer: "
                    "give the whole model, or lists that hold every parameter."
                )
            members.setdefault(home[id(p)], []).append(i)
        for layer, places in members.items():
            part = {**group, "params": [group["params"][i] for i in places]}
            if "param_names" in group:
                part["param_names"] = [group["param_names"][i] for i in places]
            if isinstance(group["lr"], Tensor):  # is overwritten in place: one for each
                part["lr"] = group["lr"].clone()
            groups.append(part)
            owners.append(layer)
    optimizer.param_groups[:] = groups
    numbers = {layer: number for number, layer in enumerate(dict.fromkeys(owners))}
    return [numbers[layer] for layer in owners]


def _homes(layers: Layers) -> dict[int, int]:
    """Layer of each parameter, by its id."""
    home: dict[int, int] = {}
    if isinstance(layers, nn.Module):
        for layer, module in enumerate(layers.modules()):
            for own in module.parameters(recurse=False):
                home.setdefault(id(own), layer)
        return home
    for layer, params in enumerate(layers):
        if isinstance(params, Tensor):
            raise UnsupportedError(
                "layers must be a model or a list of lists of parameters, one list a layer, and "
                "a parameter stands in the place of a list: write [[weight, bias], ...]."
            )
        for p in params:
            if home.setdefault(id(p), layer) != layer:
                raise UnsupportedError(
                    f"a parameter of shape {tuple(p.shape)} is in layers {home[id(p)]} and "
                    f"{layer}: list it once."
                )
    return home
