"""Numbers as JSON has them."""

from __future__ import annotations

import math
from typing import Any


def plain(value: Any) -> Any:
    """The value; ``None`` for a float that is not finite, which JSON cannot say."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
