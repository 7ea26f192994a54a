"""The shapes: one family a file, with its formula, its mean, its code and its parameters."""

from lrsearch.schedules.shapes._join import join
from lrsearch.schedules.shapes._registry import families, get_family
from lrsearch.schedules.shapes._wsd import cooldown_steps

__all__ = ["cooldown_steps", "families", "get_family", "join"]
