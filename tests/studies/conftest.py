"""Modules of a study, as its own scripts import them, and gone again afterwards."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

STUDY = Path(__file__).parents[2] / "studies" / "search_efficiency"


@pytest.fixture(scope="module")
def load() -> Iterator[Callable[[str], ModuleType]]:
    """Load a module of `studies/search_efficiency` by name."""
    before = set(sys.modules)
    sys.path.insert(0, str(STUDY))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(STUDY))
        for name in set(sys.modules) - before:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and Path(origin).parent == STUDY:
                del sys.modules[name]
