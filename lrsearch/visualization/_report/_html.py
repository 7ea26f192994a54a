"""HTML by construction: whatever is not markup already is escaped, and passwords masked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TypeAlias

from lrsearch.sweeps import masked


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Content: TypeAlias = "str | int | Sequence[Content] | None"
_EMPTY = {"meta", "br", "hr"}


def html(content: Content) -> Html:
    """Content as markup: text is masked and escaped, lists are joined, ``None`` is nothing."""
    if content is None:
        return Html()
    if isinstance(content, Html):
        return content
    if not isinstance(content, str | int):
        return Html("".join(html(each) for each in content))
    return Html(escape(masked(str(content)), quote=True))


def tag(name: str, /, *content: Content, **attributes: str | None) -> Html:
    """An element; ``class_`` is its class, other underscores become hyphens."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{html(list(content))}</{name}>")


def paragraphs(*sentences: str | None) -> Html:
    """One paragraph for each; ``None`` is left out."""
    return html([tag("p", each) for each in sentences if each is not None])


def code(text: str, label: str) -> Html:
    """A block to copy, with what it is."""
    return tag("figure", tag("figcaption", label), tag("pre", tag("code", text)), class_="code")


def table(
    caption: str,
    heads: list[str],
    rows: Sequence[Sequence[Content]],
    *,
    words: set[int],
    mark: int = -1,
) -> Html:
    """A table that scrolls by itself where the page is narrow.

    Args:
        caption: What it shows.
        heads: Of the columns.
        rows: The cells; the first of each is its head.
        words: Columns of text; the others are numbers, aligned to the right.
        mark: A row to be marked.
    """

    def cell(row: int, column: int, content: Content) -> Html:
        kind = "word" if column in words else "number"
        if column == 0:
            return tag("th", content, scope="row", class_=kind)
        return tag("td", content, class_=kind)

    head = tag(
        "tr",
        [
            tag("th", text, scope="col", class_="word" if i in words else "number")
            for i, text in enumerate(heads)
        ],
    )
    body = [
        tag("tr", [cell(r, c, x) for c, x in enumerate(row)], class_="best" if r == mark else None)
        for r, row in enumerate(rows)
    ]
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body))
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def number(value: float | None, digits: int = 4) -> str:
    """A number with this many digits that matter."""
    return "-" if value is None or value != value else f"{value:.{digits}g}"


def percent(share: float) -> str:
    """A share, signed, without digits that mean nothing."""
    if abs(share) >= 9.995:
        return "over 999 %" if share > 0 else "under -999 %"
    return f"{100 * share:+.1f} %" if abs(share) < 0.1 else f"{100 * share:+.0f} %"


def capital(sentence: str) -> str:
    """The sentence with a capital letter first."""
    return sentence[:1].upper() + sentence[1:]


def compared(share: float | None) -> str:
    """How much worse than another value, in words."""
    if share is None:
        return "-"
    if abs(share) < 0.0005:
        return "the same"
    return f"{percent(abs(share)).lstrip('+')} {'worse' if share > 0 else 'better'}"


def plural(count: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
