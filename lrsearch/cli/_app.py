"""The application, and what its commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import optuna

app = typer.Typer(
    help="Find the best learning rate and schedule for a fixed training budget.\n\n"
    "Begin with `lrsearch sweep digits`. TASK is an embedded task (digits, digits-cnn), "
    "module:name, or path/to/file.py:name of a lrsearch.Task of yours.\n\n"
    "Exit codes: 0 done; 1 an error, told in one sentence; 2 wrong usage; 3 no trial has finished; "
    "130 interrupted (the same command again goes on).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

TaskName = Annotated[
    str, typer.Argument(metavar="TASK", help="digits, digits-cnn, module:name or file.py:name")
]
Storage = Annotated[
    str, typer.Option(help="sqlite:///FILE, journal:///FILE, or a database URL that Optuna takes")
]
StudyName = Annotated[
    str | None, typer.Option("--study", help="name of the study; not needed if there is only one")
]
Budget = Annotated[
    int | None, typer.Option(min=1, help="optimizer steps of a run  [default: the task's own]")
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="seed of everything  [default: 0, or the study's]")
]
Json = Annotated[
    bool, typer.Option("--json", help="print one JSON document; progress goes to standard error")
]
LOCAL = "sqlite:///lrsearch.db"
DryRun = Annotated[bool, typer.Option("--dry-run", help="only say what the sweep would cost")]
Until = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="end sooner, once no more than this share of the loss is expected to be gained, such "
        "as 1%",
    ),
]


def opened(storage: str, study: str | None) -> optuna.Study:
    """The named study of a storage, or the only one.

    Raises:
        StorageError: If the storage cannot be read.
        StudyMismatchError: If there is no such study, or none is named and there are several.
    """
    from lrsearch.exceptions import StudyMismatchError
    from lrsearch.sweeps import only_study, open_storage, open_study, shown

    if study is not None and "://" in study:
        raise StudyMismatchError(
            f"{shown(study)} is a storage, and the name of a study is wanted: give it as --storage."
        )
    place = open_storage(storage, create=False)
    return open_study(place, study if study is not None else only_study(place))


def main() -> None:
    """Entry point of the `lrsearch` command."""
    app()
