"""The public names: complete, resolvable, documented, and the same to people and type checkers."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import lrsearch

PACKAGE = Path(lrsearch.__file__).parent
ROOMS = sorted(file.parent.name for file in PACKAGE.glob("*/__init__.py"))


def test_all_is_the_lazy_table() -> None:
    assert set(lrsearch.__all__) == {*lrsearch._HOMES, "__version__"}
    assert lrsearch.__all__ == sorted(lrsearch.__all__)
    assert list(lrsearch._HOMES) == sorted(lrsearch._HOMES)


def test_type_checkers_see_the_lazy_table() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (n for n in tree.body if isinstance(n, ast.If) and "not" not in ast.unparse(n.test))
    seen = {a.asname: n.module for n in block.body for a in n.names if n.module != "lrsearch"}
    assert seen == lrsearch._HOMES


@pytest.mark.parametrize("name", lrsearch.__all__)
def test_public_name_resolves(name: str) -> None:
    value = getattr(lrsearch, name)
    assert getattr(lrsearch, name) is value
    if inspect.isclass(value) or callable(value):
        assert value.__doc__, f"lrsearch.{name} has no docstring"


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lrsearch' has no attribute 'Shcedule'"):
        lrsearch.Shcedule


def test_dir_lists_names_and_rooms() -> None:
    assert {*lrsearch.__all__, *ROOMS} <= set(dir(lrsearch))


def test_every_room_is_an_attribute() -> None:
    assert set(ROOMS) | {"exceptions"} == lrsearch._SUBMODULES
    for room in lrsearch._SUBMODULES:
        assert getattr(lrsearch, room) is import_module(f"lrsearch.{room}")


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_room_resolves(room: str) -> None:
    module = import_module(f"lrsearch.{room}")
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"lrsearch.{room}.{name} has no docstring"
