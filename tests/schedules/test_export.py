"""Exported text: the same numbers elsewhere, and nothing that a document says becomes code."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrsearch.exceptions import DocumentError, InvalidScheduleError
from lrsearch.schedules import (
    EXPORT_FORMATS,
    Schedule,
    export,
    families,
    join,
    to_csv,
    to_json,
    to_numpy,
    to_optax,
    to_torch,
    to_transformers,
)

SCHEDULES = [
    *(Schedule(name, 0.3, 60) for name in families()),
    *(Schedule(name, 0.3, 60, {}, 7, 0.02, {"study": "résnet"}) for name in families()),
    Schedule("wsd", 0.3, 60, {"cooldown": 0.29, "cooldown_shape": "linear"}),
    Schedule("uba", 0.3, 60, {"phi": 0.0}, end_value=0.1),
    Schedule("uba", 1e-3, 1, {"phi": 7.5}),
    Schedule("uba", 0.3, 60, {"phi": 3.0, "cycles": 4}, 3),
    *(
        Schedule("wsd", 0.3, 60, {"cooldown": 0.3, "cooldown_shape": shape}, 3, 0.01)
        for shape in ("cosine", "square", "exponential")
    ),
    Schedule("step", 0.3, 60, {"drops": 3, "spacing": "halving"}, 4),
    Schedule("step", 0.3, 60, {"drops": 1}),
    Schedule("cosine_restarts", 0.3, 61, {"cycles": 3, "growth": 1.7}, 2, 0.05),
    Schedule("cosine_restarts", 0.3, 60, {"cycles": 1}),
    Schedule("cyclic", 0.3, 61, {"cycles": 3, "low": 0.2, "rise": 0.3, "decay": 0.5}, 2, 0.05),
    Schedule("cyclic", 0.3, 61, {"cycles": 1}),
    *(Schedule("cyclic", 0.3, 61, {"cycles": 2, "rise": rise}) for rise in (0.0, 1.0)),
    Schedule("exponential", 0.3, 60, {"ratio": 1e-200}),
    Schedule("one_cycle", 0.3, 60, {"anneal": "linear", "momentum": "kept", "rise": 0.0}, 2),
    Schedule("one_cycle", 0.3, 60, {"anneal": "linear", "start": 0.2}, 4, 0.01),
    Schedule("power", 0.3, 60, {"cap": 0.01, "exponent": 1.0}, 20),
    Schedule("power", 0.3, 60, {"cap": 1.0}),
    Schedule("piecewise", 0.3, 60, {"levels": (0.3, 1.0, 0.2, 0.0)}, 3, 0.01),
    Schedule("piecewise", 0.3, 61, {"levels": (1.0, 0.0)}),
    join(
        Schedule("wsd", 0.3, 40, {}, 4),
        Schedule("one_cycle", 0.1, 11, {"momentum": "kept"}, 2, 0.01),
        join(Schedule("step", 0.2, 9), Schedule("piecewise", 0.05, 5, {"levels": (1.0, 0.2)})),
    ),
    join(Schedule("linear", 0.3, 5)),
]

# Runs where lrsearch cannot be imported: every snippet's numbers, and the learning rates that its
# scheduler gives to an optimizer of two groups.
DRIVER = """
import json, runpy, sys, warnings
warnings.simplefilter("error")
sys.modules["lrsearch"] = None
import torch
results = []
for path in sys.argv[1:]:
    snippet = runpy.run_path(path)
    budget = snippet["BUDGET"]
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in (0.2, 0.05)]
    optimizer = torch.optim.SGD(groups, momentum=0.5)
    scheduler = snippet["scheduler"](optimizer)
    used, momenta = [], []
    for step in range(budget + 2):
        used.append([group["lr"] for group in optimizer.param_groups])
        momenta.append([group["momentum"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    values = [snippet["learning_rate"](step) for step in range(budget + 2)]
    results.append({"values": values, "used": used, "momenta": momenta})
print(json.dumps(results))
"""


def run_snippets(folder: Path, sources: list[str]) -> list[dict[str, Any]]:
    paths = []
    for index, source in enumerate(sources):
        paths.append(folder / f"snippet_{index}.py")
        paths[-1].write_text(source, encoding="utf-8")
    command = [sys.executable, "-I", "-c", DRIVER, *map(str, paths)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_snippets_give_the_same_numbers_without_lrsearch(tmp_path: Path) -> None:
    results = run_snippets(tmp_path, [to_torch(schedule) for schedule in SCHEDULES])
    for schedule, result in zip(SCHEDULES, results, strict=True):
        expected = [*schedule.values().tolist(), *(schedule(schedule.budget),) * 2]
        assert result["values"] == pytest.approx(expected, rel=1e-12, abs=1e-12 * schedule.peak)
        first, second = zip(*result["used"], strict=True)
        assert list(first) == pytest.approx(expected, rel=1e-12, abs=1e-12 * schedule.peak)
        momenta = [schedule.momentum(step) or 0.5 for step in range(schedule.budget + 2)]
        for group in zip(*result["momenta"], strict=True):
            assert list(group) == pytest.approx(momenta, rel=1e-12)
        quarter = [value / 4 for value in expected]
        assert list(second) == pytest.approx(quarter, rel=1e-12, abs=1e-12 * schedule.peak)


def test_snippet_imports_only_math_and_torch() -> None:
    for schedule in SCHEDULES:
        tree = ast.parse(to_torch(schedule))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert [ast.unparse(node) for node in imports] == ["import math", "import torch"]


def test_snippet_refuses_what_it_cannot_do() -> None:
    torch = pytest.importorskip("torch")
    names: dict[str, Any] = {}
    exec(to_torch(Schedule("cosine", 0.1, 10)), names)
    with pytest.raises(ValueError, match="step must be >= 0, got -1"):
        names["learning_rate"](-1)
    parameter = torch.nn.Parameter(torch.ones(1))
    for rate in (0.0, float("inf"), float("nan")):
        optimizer = torch.optim.SGD([parameter], lr=0.1)
        optimizer.param_groups[0]["lr"] = rate
        with pytest.raises(ValueError, match=f"needs a learning rate above 0, got {rate}"):
            names["scheduler"](optimizer)
    optimizer = torch.optim.SGD([{"params": [parameter], "lr": 0.5, "initial_lr": 1.0}])
    names["scheduler"](optimizer)  # the ratio is to what torch calls initial_lr
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_snippet_cycles_the_momentum_that_there_is() -> None:
    torch = pytest.importorskip("torch")
    names: dict[str, Any] = {}
    schedule = Schedule("one_cycle", 0.1, 10)
    exec(to_torch(schedule), names)
    parameter = torch.nn.Parameter(torch.ones(1))
    adam = torch.optim.Adam([parameter], lr=0.1)
    names["scheduler"](adam)
    assert adam.param_groups[0]["betas"] == (pytest.approx(0.95), 0.999)
    assert "momentum" not in adam.param_groups[0]
    for optimizer in (torch.optim.SGD([parameter], lr=0.1), torch.optim.Adagrad([parameter])):
        with pytest.raises(ValueError, match="cycles momentum; build the optimizer with some"):
            names["scheduler"](optimizer)
        assert not optimizer.param_groups[0].get("momentum")


def test_a_join_of_many_parts_is_code_too(tmp_path: Path) -> None:
    parts = [Schedule("linear", 0.1 + index / 1000, 2) for index in range(300)]
    schedule = join(*parts)
    names: dict[str, Any] = {}
    exec(to_torch(schedule), names)
    used = [names["learning_rate"](step) for step in range(600)]
    assert used == pytest.approx(schedule.values().tolist(), rel=1e-12)


def test_snippet_tells_where_it_comes_from() -> None:
    schedule = Schedule("uba", 0.1, 10, provenance={"study": "sweep-7", "trial": 12})
    lines = to_torch(schedule).splitlines()
    assert '# Family: "uba"' in lines
    assert '# Parameters: {"cycles": 1.0, "phi": 1.0}' in lines
    assert '# Provenance "study": "sweep-7"' in lines
    assert '# Provenance "trial": 12' in lines


ATTACKS = [
    "x\nraise SystemExit('pwned')",
    "x\rraise SystemExit('pwned')",
    "x\x0b\x0c\x1c\x85\u2028\u2029raise SystemExit('pwned')",
    '"""\nraise SystemExit("pwned")\n"""',
    "coding: utf-7 +AAo-raise SystemExit()",
    "-*- coding: utf-7 -*- +AAo-import os",
    "{peak} {0} %s \\",
    "\ud800\x00",
    "a" * 5000 + "\nraise SystemExit",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("place", ["key", "value", "nested"])
@pytest.mark.parametrize("write", [to_torch, to_numpy, to_optax])
def test_provenance_never_becomes_code(
    write: Callable[[Schedule], str], attack: str, place: str
) -> None:
    hostile: dict[str, Any] = {
        "key": {attack: 1},
        "value": {"study": attack},
        "nested": {"study": [{attack: [attack]}]},
    }[place]
    schedule = Schedule("linear", 0.1, 10)
    clean = write(schedule)
    dirty = write(schedule.with_provenance(**hostile))
    assert dirty != clean
    # As bytes: that is how Python looks for a declared encoding.
    assert ast.dump(ast.parse(dirty.encode())) == ast.dump(ast.parse(clean.encode()))
    # Only a comment in the first two lines can declare one, and line 1 is never a comment.
    assert dirty.startswith('"""')
    assert max(map(len, dirty.split("\n"))) <= 100


def test_hostile_snippet_runs_as_the_clean_one(tmp_path: Path) -> None:
    schedule = Schedule("linear", 0.1, 10, provenance=dict.fromkeys(ATTACKS, "\n1/0"))
    (result,) = run_snippets(tmp_path, [to_torch(schedule)])
    assert result["values"][:10] == schedule.values().tolist()


def test_csv_in_full() -> None:
    text = to_csv(Schedule("linear", 0.3, 3))
    assert text == f"step,learning_rate\n0,0.3\n1,{0.3 * (2 / 3)!r}\n2,{0.3 * (1 / 3)!r}\n"


def test_json_is_the_document() -> None:
    schedule = SCHEDULES[7]
    assert json.loads(to_json(schedule)) == schedule.to_dict()


@pytest.mark.parametrize("name", ["json", "torch", "numpy", "optax"])
def test_provenance_that_is_not_json_is_refused(name: str) -> None:
    schedule = Schedule("linear", 0.1, 9).with_provenance(edge=float("nan"))
    with pytest.raises(DocumentError, match="cannot be stored as JSON: nan"):
        export(schedule, name)


def test_formats_by_name() -> None:
    assert dict(EXPORT_FORMATS) == {
        "csv": to_csv,
        "json": to_json,
        "numpy": to_numpy,
        "optax": to_optax,
        "torch": to_torch,
        "transformers": to_transformers,
    }
    schedule = SCHEDULES[3]
    for name, write in EXPORT_FORMATS.items():
        assert export(schedule, name) == write(schedule)


@pytest.mark.parametrize("name", ["keras", "", None, ["csv"]])
def test_unknown_format_names_the_known_ones(name: Any) -> None:
    with pytest.raises(InvalidScheduleError, match=r"unknown export format .*; known: csv, json"):
        export(SCHEDULES[0], name)
