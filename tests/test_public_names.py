"""The public names: complete, resolvable, documented, and the same to people and type checkers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
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
    assert set(ROOMS) | {"exceptions", "ray"} == lrsearch._SUBMODULES
    for room in lrsearch._SUBMODULES - {"ray"}:
        assert getattr(lrsearch, room) is import_module(f"lrsearch.{room}")


def test_the_face_of_ray_is_reached_without_an_import_of_its_own() -> None:
    """In an interpreter where nothing has imported Ray before."""
    pytest.importorskip("ray")
    code = (
        "import sys, lrsearch\n"
        "assert 'ray' not in sys.modules\n"
        "assert lrsearch.ray.tuner.__name__ == 'tuner'\n"
        "assert 'ray' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_name_of_rays_face_resolves_and_is_that_of_its_room() -> None:
    pytest.importorskip("ray")
    face, room = import_module("lrsearch.ray"), import_module("lrsearch.integrations.ray")
    assert face.__all__ == sorted(face.__all__)
    assert set(face.__all__) <= set(room.__all__)
    for name in face.__all__:
        assert getattr(face, name) is getattr(room, name)
        assert inspect.getdoc(getattr(face, name)), f"lrsearch.ray.{name} has no docstring"


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_room_resolves(room: str) -> None:
    module = import_module(f"lrsearch.{room}")
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"lrsearch.{room}.{name} has no docstring"
