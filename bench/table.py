"""The table that a run prints: sections of (what, figure) pairs, as text and as markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of one benchmark."""

    title: str
    rows: Sequence[Row]


def as_text(sections: Sequence[Section]) -> str:
    """Return the table for a terminal: figures aligned to the right."""
    whats = [what for section in sections for what, _ in section.rows]
    figures = [figure for section in sections for _, figure in section.rows]
    left, right = max(map(len, whats), default=0), max(map(len, figures), default=0)
    blocks = [
        "\n".join([section.title, *(f"  {w:<{left}}  {f:>{right}}" for w, f in section.rows)])
        for section in sections
    ]
    return "\n\n".join(blocks)


def as_markdown(sections: Sequence[Section], machine: str) -> str:
    """Return the table for a document, with the machine that it was measured on."""
    return "\n".join([machine, "", *_markdown_lines(sections)]) + "\n"


def _markdown_lines(sections: Sequence[Section]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---:|"
    for section in sections:
        yield f"| **{section.title}** | |"
        for what, figure in section.rows:
            yield f"| {what} | {figure} |"
