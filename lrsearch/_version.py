"""The version, here and nowhere else: the build reads this file, `lrsearch.__version__` too."""

from __future__ import annotations

__version__ = "0.1.0"
