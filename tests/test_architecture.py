"""The doors between the rooms open one way: shared/DESIGN.md as a table, checked by parsing."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lrsearch"
MAX_LINES = 300

# What anyone may import.
COMMON = {"_version", "exceptions"}

# Room or module directly under lrsearch/ -> what it may import besides itself and COMMON.
# "lrsearch" is the package's own __init__: no room imports the public face it stands behind.
LOWER = {"schedules", "stability"}
MIDDLE = LOWER | {"theory", "search", "curvature", "tuners", "training"}
UPPER = MIDDLE | {"integrations", "tasks"}
ALLOWED: dict[str, set[str]] = {
    "_version": set(),
    "exceptions": set(),
    "schedules": set(),
    "stability": {"schedules"},
    "theory": {"schedules"},
    "search": LOWER | {"theory"},
    "curvature": LOWER,
    "tuners": LOWER | {"curvature"},
    "training": LOWER | {"curvature", "tuners"},
    "tasks": LOWER | {"curvature", "tuners", "training"},
    "integrations": MIDDLE,
    "sweeps": UPPER,
    "visualization": MIDDLE | {"integrations", "sweeps"},
    "cli": UPPER | {"sweeps", "visualization", "ray"},
    "__main__": {"cli"},
    "ray": {"integrations"},
    "testing": MIDDLE | {"integrations"},
    "lrsearch": LOWER | {"theory", "search", "training", "integrations"},
}

# Pure room -> what it may import besides the standard library. In `schedules` an adapter may
# import anything inside the method that needs it, or in a file named here.
PURE = {
    "schedules": {"numpy"},
    "theory": {"numpy", "scipy"},
    "stability": {"numpy"},
    "search": {"numpy", "scipy"},
}
ADAPTERS = {"schedules/_torch.py"}
MAY_DEFER = {"schedules"}

# What `import lrsearch` must not pull in.
HEAVY = ["torch", "optuna", "ray", "numpy", "scipy", "pandas", "rich", "typer", "plotly"]


class Import(NamedTuple):
    """One imported module: its absolute name, its line, and whether it waits for a call."""

    name: str
    line: int
    deferred: bool


def imports_of(source: str, path: str) -> list[Import]:
    """Every import in a file of lrsearch/, wherever it stands; `path` is relative to lrsearch/."""
    package = ".".join(["lrsearch", *Path(path).parts[:-1]])
    return list(_walk(ast.parse(source, path), package, deferred=False))


def _walk(node: ast.AST, package: str, *, deferred: bool) -> Iterator[Import]:
    for name in _names(node, package):
        yield Import(name, getattr(node, "lineno", 0), deferred)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        deferred = True
    later = set(map(id, node.body)) if isinstance(node, ast.If) and _is_typing(node.test) else set()
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, package, deferred=deferred or id(child) in later)


def _is_typing(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _names(node: ast.AST, package: str) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield alias.name
                if alias.asname is None and alias.name.startswith("lrsearch."):
                    yield "lrsearch"  # that is the name it binds
        case ast.ImportFrom(module=module, names=names, level=level):
            base = importlib.util.resolve_name("." * level + (module or ""), package)
            for alias in names:
                # `from lrsearch import x` reaches the room x, or else the public face.
                inside = base == "lrsearch" and alias.name in ALLOWED
                yield f"lrsearch.{alias.name}" if inside else base
        case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]):
            if ast.unparse(func).rpartition(".")[2] in {"import_module", "__import__"}:
                yield importlib.util.resolve_name(name, package)


def room_of(path: str) -> str:
    """The room or module that a file of lrsearch/ belongs to."""
    first = Path(path).parts[0]
    return "lrsearch" if first == "__init__.py" else first.removesuffix(".py")


def wrong_arrows(source: str, path: str) -> list[str]:
    """Imports of other rooms that the table does not allow."""
    room = room_of(path)
    if room not in ALLOWED:
        return [f"{path}: room {room!r} has no row in ALLOWED of {Path(__file__).name}"]
    allowed = ALLOWED[room] | COMMON | {room}
    found = []
    for item in imports_of(source, path):
        top, *rest = item.name.split(".")
        target = rest[0] if rest else top
        if top == "lrsearch" and target not in allowed:
            found.append(f"{path}:{item.line}: {room} -> {target} ({item.name})")
    return found


def impurities(source: str, path: str) -> list[str]:
    """Imports of other packages that a pure room must do without."""
    room = room_of(path)
    if room not in PURE or path in ADAPTERS:
        return []
    allowed = PURE[room] | sys.stdlib_module_names | {"lrsearch"}
    return [
        f"{path}:{item.line}: {room} is pure and imports {item.name}"
        for item in imports_of(source, path)
        if item.name.split(".")[0] not in allowed and not (item.deferred and room in MAY_DEFER)
    ]


def untidy_init(source: str, path: str) -> list[str]:
    """What the __init__ of a room holds besides docstring, imports and a sorted `__all__`."""
    found = []
    names = None
    for position, node in enumerate(ast.parse(source, path).body):
        match node:
            case ast.Expr(value=ast.Constant(value=str())) if position == 0:
                pass
            case ast.Import() | ast.ImportFrom():
                pass
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                names = ast.literal_eval(value)
            case _:
                found.append(f"{path}:{node.lineno}: not a docstring, import or __all__")
    if names is None:
        found.append(f"{path}: no __all__")
    elif names != sorted(set(names), key=in_all):
        found.append(f"{path}: __all__ is not sorted, or names something twice")
    return found


def in_all(name: str) -> tuple[int, str]:
    """Sort key of `__all__`, ruff's (RUF022): CONSTANTS, then Classes, then functions."""
    constant = len(name) > 1 and name.isupper()
    return (0 if constant else 1 if name[:1].isupper() else 2, name)


def sources() -> Iterator[tuple[str, str]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.read_text(encoding="utf-8"), file.relative_to(PACKAGE).as_posix()


def run_python(script: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


# The package.


def test_arrows_between_rooms_go_one_way() -> None:
    assert [line for source, path in sources() for line in wrong_arrows(source, path)] == []


def test_pure_rooms_import_only_what_they_may() -> None:
    assert [line for source, path in sources() for line in impurities(source, path)] == []


def test_init_of_a_room_only_reexports() -> None:
    inits = [(s, p) for s, p in sources() if p.endswith("/__init__.py")]
    assert [line for source, path in inits for line in untidy_init(source, path)] == []


def test_every_folder_with_code_is_a_package() -> None:
    folders = {file.parent for file in PACKAGE.rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


def test_no_file_outgrows_a_reader() -> None:
    lengths = {path: len(source.splitlines()) for source, path in sources()}
    assert {path: n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_pure_rooms_run_without_torch_optuna_and_ray() -> None:
    modules = [
        "lrsearch." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for _, path in sources()
        if room_of(path) in PURE and path not in ADAPTERS
    ]
    assert {name.split(".")[1] for name in modules} == set(PURE)
    script = """
import importlib, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {'torch', 'optuna', 'ray'}:
            raise ImportError(f'{name} is blocked in this test')
sys.meta_path.insert(0, Blocked())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
    run_python(script, *modules)


def test_import_lrsearch_is_light() -> None:
    script = """
import sys
import lrsearch
loaded = sorted({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:]))
sys.exit(f'import lrsearch pulls in {loaded}' if loaded else 0)
"""
    run_python(script, *HEAVY)


# The table, and the checker itself.


def test_table_has_no_way_back() -> None:
    for room, targets in ALLOWED.items():
        for target in targets:
            assert room not in ALLOWED[target], f"{room} and {target} import each other"
            assert ALLOWED[target] <= targets | {"tasks"} or room in {"__main__", "ray", "lrsearch"}


def test_table_keeps_the_promises_of_the_design() -> None:
    def users(of: str) -> set[str]:
        return {room for room, targets in ALLOWED.items() if of in targets}

    assert users("testing") == set()
    assert users("lrsearch") == set()
    assert users("tasks") == {"sweeps", "cli"}
    assert users("visualization") == {"cli"}
    assert users("cli") == {"__main__"}
    assert "search" not in ALLOWED["curvature"]
    assert "curvature" not in ALLOWED["search"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        pytest.param("search/_x.py", "from lrsearch.curvature import hvp", id="absolute"),
        pytest.param("search/_x.py", "from lrsearch.curvature._hvp import hvp", id="deep"),
        pytest.param("search/_x.py", "import lrsearch.curvature as c", id="import-as"),
        pytest.param("search/_x.py", "import lrsearch.curvature", id="import"),
        pytest.param("search/_x.py", "import lrsearch.schedules", id="binds-the-face"),
        pytest.param("search/_x.py", "from lrsearch import curvature", id="from-package"),
        pytest.param("search/_x.py", "from lrsearch import edge", id="public-face"),
        pytest.param("search/_x.py", "import lrsearch as l", id="public-face-as"),
        pytest.param("search/_x.py", "from lrsearch import *", id="star"),
        pytest.param("search/_x.py", "from ..curvature import hvp", id="relative"),
        pytest.param("search/_x.py", "from .. import curvature", id="relative-package"),
        pytest.param("search/deep/_x.py", "from ...curvature import hvp", id="relative-deep"),
        pytest.param("search/__init__.py", "from ..curvature import hvp", id="relative-init"),
        pytest.param("search/_x.py", "def f():\n    import lrsearch.curvature as c", id="local"),
        pytest.param("search/_x.py", "class A:\n    from ..curvature import h", id="class-body"),
        pytest.param(
            "search/_x.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..curvature import h",
            id="type-checking",
        ),
        pytest.param(
            "search/_x.py",
            "import importlib\nimportlib.import_module('lrsearch.curvature')",
            id="dynamic",
        ),
        pytest.param("curvature/_x.py", "from lrsearch.search import decide", id="never-search"),
        pytest.param("schedules/_x.py", "from lrsearch.stability import Edge", id="upwards"),
        pytest.param("training/_x.py", "from lrsearch.tasks import digits", id="tasks"),
        pytest.param("integrations/_x.py", "from ..tasks import digits", id="host-tasks"),
        pytest.param("cli.py", "from .testing import dense", id="testing"),
        pytest.param("exceptions.py", "from .schedules import Schedule", id="exceptions"),
        pytest.param("__init__.py", "from .tasks import digits", id="init"),
        pytest.param("attic/_x.py", "", id="unknown-room"),
    ],
)
def test_checker_sees_a_wrong_arrow(path: str, source: str) -> None:
    assert wrong_arrows(source, path) != []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("search/_x.py", "from lrsearch.stability import Reading"),
        ("search/_x.py", "from ..schedules import Schedule"),
        ("search/_x.py", "from . import _y\nfrom ._y import z"),
        ("search/__init__.py", "from ._y import z"),
        ("search/_x.py", "from .. import exceptions\nfrom lrsearch import _version"),
        ("sweeps/_x.py", "from lrsearch import tasks"),
        ("visualization/_x.py", "from lrsearch import integrations, sweeps"),
        ("cli.py", "from .sweeps import run"),
        ("curvature/_x.py", "import torch\nfrom torch import nn"),
    ],
)
def test_checker_lets_a_right_arrow_pass(path: str, source: str) -> None:
    assert wrong_arrows(source, path) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("schedules/_x.py", "import torch"),
        ("schedules/_x.py", "from torch.optim import Optimizer"),
        ("schedules/_x.py", "try:\n    import torch\nexcept ImportError:\n    pass"),
        ("schedules/_x.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import torch"),
        ("schedules/_x.py", "import scipy"),
        ("stability/_x.py", "def f():\n    import torch"),
        ("stability/_x.py", "if TYPE_CHECKING:\n    import torch"),
        ("search/_x.py", "import pandas as pd"),
        ("search/_x.py", "def f():\n    from optuna import Trial"),
        ("search/_x.py", "import importlib\nray = importlib.import_module('ray')"),
    ],
)
def test_checker_sees_an_impurity(path: str, source: str) -> None:
    assert len(impurities(source, path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("schedules/_x.py", "import math\nimport numpy as np"),
        ("schedules/_x.py", "def f():\n    import torch"),
        ("schedules/_x.py", "if TYPE_CHECKING:\n    import torch"),
        ("schedules/_torch.py", "import torch"),
        ("search/_x.py", "from scipy import stats\nfrom ._y import z"),
        ("curvature/_x.py", "import torch"),
    ],
)
def test_checker_lets_purity_pass(path: str, source: str) -> None:
    assert impurities(source, path) == []


@pytest.mark.parametrize(
    "source",
    [
        '"""Doc."""\nfrom ._x import a',
        '"""Doc."""\nfrom ._x import a, b\n__all__ = ["b", "a"]',
        '"""Doc."""\nfrom ._x import a\n__all__ = ["a", "a"]',
        '"""Doc."""\nfrom ._x import A, f\n__all__ = ["f", "A"]',
        '"""Doc."""\nx = 1\n__all__ = ["x"]',
        '"""Doc."""\ndef f(): ...\n__all__ = ["f"]',
    ],
)
def test_checker_sees_an_untidy_init(source: str) -> None:
    assert len(untidy_init(source, "search/__init__.py")) == 1


def test_checker_lets_a_tidy_init_pass() -> None:
    source = '"""Doc."""\nfrom ._x import ONE, Edge, dead\n__all__ = ["ONE", "Edge", "dead"]'
    assert untidy_init(source, "search/__init__.py") == []
