"""A schedule and its document: written, read, and kept in files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self, cast

from lrsearch.exceptions import DocumentError, InvalidScheduleError
from lrsearch.schedules import _document
from lrsearch.schedules._document import JSON

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule


class Stored:
    """What `Schedule` does with documents; a part of that class."""

    def to_dict(self) -> dict[str, JSON]:
        """Return the document: plain JSON values, complete, with schema and version.

        Raises:
            DocumentError: If the provenance holds something that is not JSON.
        """
        return _document.encode(cast("Schedule", self))

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> Self:
        """Return the schedule of a document; nothing in it is executed.

        Raises:
            DocumentError: If it is no schedule document of a version that we know, or if one of
                its values makes no sense.
        """
        try:
            return cls(**_document.decode(document))
        except InvalidScheduleError as error:
            raise DocumentError(f"schedule document: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the document as JSON; the file is replaced as a whole or not at all.

        Raises:
            DocumentError: If the provenance is not JSON or the file cannot be written.
        """
        _document.write(path, _document.dumps(self.to_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the schedule of a file that `save` wrote.

        Raises:
            DocumentError: If the file cannot be read or is no schedule document; the message
                names the path.
        """
        document = _document.read(path)
        try:
            return cls.from_dict(document)
        except DocumentError as error:
            raise DocumentError(f"{os.fspath(path)}: {error}") from error
