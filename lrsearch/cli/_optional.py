"""An option whose value may be left out: ``--ray`` as well as ``--ray ADDRESS``."""

from __future__ import annotations

import typer
from typer.core import TyperCommand

OPTION = "--ray"


class OptionalAddress(TyperCommand):
    """A command whose ``--ray`` may stand alone (this machine); Typer has no such options."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse, after giving a lone ``--ray`` its value."""
        return super().parse_args(ctx, with_address(args))


def with_address(args: list[str]) -> list[str]:
    """The words with "local" after every ``--ray`` that no address follows."""
    found: list[str] = []
    for index, word in enumerate(args):
        found.append(word)
        alone = index + 1 == len(args) or args[index + 1].startswith("-")
        if word == OPTION and alone:
            found.append("local")
    return found
