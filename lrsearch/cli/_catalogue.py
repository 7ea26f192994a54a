"""The schedule families as rows: declarations, and the convex bound of the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Parameter, families, get_family, tuner_families
from lrsearch.theory import rank_families

if TYPE_CHECKING:
    from rich.table import Table


def catalogue(budget: int) -> list[dict[str, Any]]:
    """One row per family, best bound first; those that do not fit the budget, and tuners, last."""
    bounds = {}
    for name in families():
        try:
            (ranked,) = rank_families(budget, [name])
        except InvalidScheduleError:
            continue
        bounds[name] = (ranked.bound, ranked.relative_peak)
    linear, _ = bounds["linear"]
    order = sorted(families(), key=lambda name: bounds.get(name, (float("inf"),))[0])
    rows: list[dict[str, Any]] = []
    for name in (*order, *tuner_families()):
        family = get_family(name)
        bound, peak = bounds.get(name, (None, None))
        rows.append(
            {
                "family": name,
                "summary": family.summary,
                "bound": None if bound is None else bound / linear,
                "peak": peak,
                "parameters": [_declaration(item) for item in family.parameters],
            }
        )
    return rows


def _declaration(item: Parameter) -> dict[str, Any]:
    return {
        "name": item.name,
        "default": item.default,
        "searched": list(item.searched or item.choices),
        "range": None if item.searched or item.choices else [item.low, item.high],
        "choices": list(item.choices),
        "matters": item.matters,
        "doc": item.doc,
    }


def table_of(rows: list[dict[str, Any]]) -> Table:
    """The rows as a table."""
    from rich.table import Table

    table = Table("family", "bound", "peak", "shape", "parameters", box=None, pad_edge=False)
    for row in rows:
        said = [_said(item) for item in row["parameters"]]
        numbers = ["-" if row[name] is None else f"{row[name]:.3f}" for name in ("bound", "peak")]
        table.add_row(row["family"], *numbers, row["summary"], ", ".join(said))
    return table


def _said(item: dict[str, Any]) -> str:
    if item["choices"]:
        others = [name for name in item["choices"] if name not in item["searched"]]
        values = "|".join(item["searched"]) + (f"; also {'|'.join(others)}" if others else "")
    elif item["range"]:
        values = "..".join(f"{value:g}" for value in item["range"])
    else:
        values = "|".join(f"{value:g}" for value in item["searched"])
    default = item["default"] if isinstance(item["default"], str) else f"{item['default']:g}"
    return f"{item['name']}{'*' if item['matters'] else ''}={default} ({values})"
