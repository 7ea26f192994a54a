"""Compiled modules run eagerly while a probe is on: a changed mode would recompile them.

The stance belongs to the process. Threads that probe at once share it: the first to come sets it,
the last to go puts it back. Were each to put back what it found, one that began second would leave
every compiled module of the process eager for good.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch

_LOCK = Lock()
_inside = 0
_held: Any = None


@contextmanager
def eager() -> Iterator[None]:
    """Context in which compiled modules run eagerly; it costs nothing where none can be there."""
    global _inside, _held
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with _LOCK:
        _inside += 1
        if _inside == 1:
            _held = torch.compiler.set_stance("force_eager")
            _held.__enter__()
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                _held.__exit__(None, None, None)
                _held = None
