"""Templates that only leave parts out and put values in, flattened: a mail is a matter of joining.

    text {{ name }} text {% if name %} text {{ name }} {% else %} text {% endif %}

Most templates of mails use no more of Jinja than that; whatever uses more is Jinja's to render. A
layout gives the same text as Jinja does, or refuses with a `LookupError`.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from jinja2 import Environment, nodes
from markupsafe import escape
from msgspec import Struct

from consumers.delivery.bare import Filled, Mould

#: With more conditions there would be too many ways to leave parts out.
_MOST_TESTS: Final = 8


class _Branch(NamedTuple):
    """One of two texts, as a variable is empty or not."""

    test: str
    full: "_Text"
    empty: "_Text"


class _Hole(NamedTuple):
    """Where a variable's value goes."""

    name: str


_Text = tuple["str | _Hole | _Branch", ...]


class _Flat(Struct, frozen=True):
    """A text with gaps, and the variables whose values go into them."""

    mould: Mould
    names: tuple[str, ...]


class Layout:
    """One source, flattened. Owned by one thread at a time."""

    def __init__(self, text: _Text, tests: Sequence[str], escapes: bool) -> None:
        self._text = text
        self._tests = tuple(tests)
        self._escapes = escapes
        #: One for each way to leave parts out that has come up: which tests were not empty.
        self._flat: dict[tuple[bool, ...], _Flat] = {}

    def fill(self, values: Mapping[str, str]) -> Filled:
        """Return the text, still in its mould.

        Raises:
            LookupError: a variable is missing that the source needs, or may need.
        """
        shape = tuple(map(bool, map(values.__getitem__, self._tests)))
        flat = self._flat.get(shape)
        if flat is None:
            given = {name for name, full in zip(self._tests, shape, strict=True) if full}
            flat = self._flat[shape] = _flatten(self._text, given)
        put = list(map(values.__getitem__, flat.names))
        if self._escapes:
            for at, value in enumerate(put):
                # What is escaped is another kind of text, and slow to make: most values need none.
                if "&" in value or "<" in value or ">" in value or "'" in value or '"' in value:
                    put[at] = str(escape(value))
        return Filled(flat.mould, put)


def layout_of(source: str, environment: Environment) -> Layout | None:
    """Return the layout of a source that is good Jinja; None: only Jinja can render it."""
    try:
        text = _read(environment.parse(source).body, frozenset(environment.globals))
    except _TooMuch:
        return None
    tests = sorted(set(_tests(text)))
    if len(tests) > _MOST_TESTS:
        return None
    return Layout(text, tests, bool(environment.autoescape))


class _TooMuch(Exception):
    """The source uses more of Jinja than a layout knows."""


def _read(body: Iterable[nodes.Node], reserved: frozenset[str]) -> _Text:
    text: list[str | _Hole | _Branch] = []
    for node in body:
        if isinstance(node, nodes.Output):
            text += [_output(part, reserved) for part in node.nodes]
        elif isinstance(node, nodes.If) and not node.elif_:
            full, empty = _read(node.body, reserved), _read(node.else_, reserved)
            text.append(_Branch(_name(node.test, reserved), full, empty))
        else:
            raise _TooMuch
    return tuple(text)


def _output(node: nodes.Node, reserved: frozenset[str]) -> str | _Hole:
    return node.data if isinstance(node, nodes.TemplateData) else _Hole(_name(node, reserved))


def _name(node: nodes.Node, reserved: frozenset[str]) -> str:
    if isinstance(node, nodes.Name) and node.ctx == "load" and node.name not in reserved:
        return str(node.name)
    raise _TooMuch


def _tests(text: _Text) -> Iterable[str]:
    for part in text:
        if isinstance(part, _Branch):
            yield part.test
            yield from _tests(part.full)
            yield from _tests(part.empty)


def _flatten(text: _Text, given: set[str]) -> _Flat:
    """Leave out what is to be left out, and make one piece of what stands together."""
    pieces: list[str] = []
    gaps: dict[str, list[int]] = {}
    for is_text, parts in groupby(_chosen(text, given), lambda part: isinstance(part, str)):
        if is_text:
            pieces.append("".join(part for part in parts if isinstance(part, str)))
            continue
        for part in parts:
            if isinstance(part, _Hole):
                gaps.setdefault(part.name, []).append(len(pieces))
                pieces.append("")
    return _Flat(Mould(pieces, list(gaps.values())), tuple(gaps))


def _chosen(text: _Text, given: set[str]) -> Iterable[str | _Hole]:
    for part in text:
        if isinstance(part, _Branch):
            yield from _chosen(part.full if part.test in given else part.empty, given)
        else:
            yield part
