"""Freeze the multipliers of every definition on development tasks, before evaluation tasks count.

python freeze.py        # frozen.json, with a hash of what they come from
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import archive
from definitions import DEFINITIONS
from ladders import Ladder, recorded
from specs import DEVELOPMENT, KINDS
from transfer import multiplier

from lrsearch.curvature import _shift as shift

FROZEN = Path(__file__).parent / "frozen.json"
ALL = "all"
CONSTANTS = ("WIDTH", "MEMORY")


def constants() -> dict[str, float]:
    """Those of the package's recipe."""
    return {name: round(float(getattr(shift, name)), 6) for name in CONSTANTS}


def frozen() -> dict[str, Any]:
    """What `main` has written."""
    found: dict[str, Any] = json.loads(FROZEN.read_text())
    return found


def fitted(ladders: list[Ladder]) -> dict[str, dict[str, float]]:
    """Definition -> octaves of the multiplier, for all tasks and for each class."""
    groups = {ALL: ladders} | {k: [x for x in ladders if x.spec.kind == k] for k in KINDS}
    return {
        name: {group: round(multiplier(found, define), 4) for group, found in groups.items()}
        for name, define in DEFINITIONS.items()
    }


def digest(ladders: list[Ladder]) -> str:
    """Of the development tasks' raw results and of the recipe's constants."""
    found = hashlib.sha256(json.dumps(constants()).encode())
    for name in sorted(ladder.spec.name for ladder in ladders):
        for path in (archive.path_of(name), archive.alternatives_of(name)):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def main() -> None:
    ladders = recorded(DEVELOPMENT)
    missing = {s.name for s in DEVELOPMENT} - {ladder.spec.name for ladder in ladders}
    if missing:
        raise SystemExit(f"not recorded yet: {', '.join(sorted(missing))}: run ladder.py first.")
    document = {"constants": constants(), "multipliers": fitted(ladders), "hash": digest(ladders)}
    FROZEN.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
