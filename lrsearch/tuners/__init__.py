"""Learning-rate tuners that act while training: each step chooses its own rate."""

from lrsearch.tuners._tuner import Tuner as Tuner

__all__ = ["Tuner"]
