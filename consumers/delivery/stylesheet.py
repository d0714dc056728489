"""Writes the rules of a template's <style> into the elements they are for, once, when it is loaded.

Many mail programs read style attributes only. The template's source itself is changed, and nothing
in it but style attributes and <style>: Jinja, entities and white space stay as they are written.
css-inline decides which rule is for which element; what no attribute can say (media queries,
`:hover`) stays in <style>.
"""

import re
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from typing import Final

from css_inline import CSSInliner, InlineError

#: A Jinja construct; a string in it may hold what would end it.
_JINJA: Final = re.compile(
    r"""\{\#.*?\#\}|\{\{(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|.)*?\}\}"""
    r"""|\{%(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|.)*?%\}""",
    re.DOTALL,
)
#: Stands for a Jinja construct while HTML is read: one of many private characters, then fillers.
_FIRST: Final = 0xE100
_MOST: Final = 0xF8FF - _FIRST
_FILLER: Final = "\ue000"
_MASK: Final = re.compile("([\ue100-\uf8ff])\ue000*")
_PRIVATE: Final = re.compile("[\ue000-\uf8ff]")

_ATTRIBUTE: Final = re.compile(
    r"""\s+([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?"""
)
_TAG_NAME: Final = re.compile(r"<[^\s/>]+")
_MARK: Final = "data-inlined-as"
_STYLE: Final = "style"
_STYLE_END: Final = re.compile("</style", re.IGNORECASE | re.ASCII)
_OPENS: Final = re.compile(r"\{%[-+]?\s*(?:if|for|macro|call)\b")
_CLOSES: Final = re.compile(r"\{%[-+]?\s*end(?:if|for|macro|call)\b")
#: With these, elements of other sources or places may need the rules that elements here have got.
_COMPOSES: Final = re.compile(r"\{%[-+]?\s*(?:extends|include|import|from|block|macro)\b")


class Uninlinable(ValueError):
    """Rules or elements depend on a mail's values. The message says where, and what to do."""


@dataclass(frozen=True, slots=True)
class _Attribute:
    """One attribute in the masked source, from the blanks before it to its end."""

    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Tag:
    """A start tag in the masked source: its place, where its name ends, its attributes."""

    name: str
    start: int
    name_end: int
    end: int
    attributes: tuple[_Attribute, ...]

    def value(self, name: str) -> str | None:
        return next((a.value for a in self.attributes if a.name == name), None)


def inline_styles(html: str) -> str:
    """Return the source of an HTML template with its rules in its elements.

    A source without <style> comes back as it is. A <style> with a `media` attribute is left alone.

    Raises:
        Uninlinable: a rule or an element's class depends on values.
    """
    if "<style" not in html.lower():
        return html
    if _PRIVATE.search(html):
        raise Uninlinable("has <style> and characters for private use (U+E000 to U+F8FF)")
    constructs = _JINJA.findall(html)
    if len(constructs) > _MOST:
        raise Uninlinable(f"has <style> and more than {_MOST} Jinja constructs")
    source = _Source(html, constructs)
    if not source.styles:
        return html
    return _MASK.sub(lambda mask: constructs[ord(mask[1]) - _FIRST], source.inlined())


class _Source:
    """One template's source while it is worked on, its Jinja masked."""

    def __init__(self, html: str, constructs: list[str]) -> None:
        numbers = iter(range(len(constructs)))
        self._constructs = constructs
        self._text = _JINJA.sub(
            lambda found: chr(_FIRST + next(numbers)) + _FILLER * (len(found[0]) - 1), html
        )
        self._tags = _Tags(self._text).found
        #: By tag: where the text of a <style> ends.
        self.styles = {
            n: self._style_end(tag)
            for n, tag in enumerate(self._tags)
            if tag.name == _STYLE and tag.value("media") is None
        }

    def inlined(self) -> str:
        """Return the masked source with its rules in its elements."""
        for n, end in self.styles.items():
            self._check_style(self._tags[n], end)
        for tag in self._tags:
            self._check_element(tag)
        inliner = CSSInliner(
            keep_style_tags=True, remove_inlined_selectors=True, load_remote_stylesheets=False
        )
        try:
            answer = _Answer(inliner.inline(self._marked()))
        except InlineError as error:
            raise Uninlinable(f"its <style> cannot be read: {error}") from error
        composes = any(map(_COMPOSES.match, self._constructs))
        pieces, at = [], 0
        for n, tag in enumerate(self._tags):
            if n in self.styles and not composes:
                kept = answer.texts.get(n, "").strip()
                whole = self._text.find(">", self.styles[n]) + 1 or len(self._text)
                pieces.append(self._text[at : tag.start])
                if kept:
                    pieces += (self._text[tag.start : tag.end], f"\n{kept}\n</style>")
                at = whole
            elif n in answer.styles:
                pieces += (self._text[at : tag.start], self._with_style(tag, answer.styles[n]))
                at = tag.end
        pieces.append(self._text[at:])
        return "".join(pieces)

    def _marked(self) -> str:
        """Return the document to match: each element numbered, without styles of its own."""
        pieces, at = [], 0
        for n, tag in enumerate(self._tags):
            pieces.append(self._text[at : tag.name_end])
            pieces.append(f' {_MARK}="{n}"{self._rest(tag)}')
            at = tag.end
            if tag.name == _STYLE and n not in self.styles:
                at = self._style_end(tag)
        pieces.append(self._text[at:])
        return "".join(pieces)

    def _with_style(self, tag: _Tag, rules: str) -> str:
        """Return a start tag with these rules before its own style, which goes before them."""
        written = escape(rules.strip().rstrip(";"), quote=False).replace('"', "&quot;")
        own = tag.value(_STYLE)
        if own:
            written += "; " + own.replace('"', "&quot;")
        return f'{self._text[tag.start : tag.name_end]} style="{written}"{self._rest(tag)}'

    def _rest(self, tag: _Tag) -> str:
        """Return a start tag behind its name, without its style."""
        pieces, at = [], tag.name_end
        for attribute in tag.attributes:
            if attribute.name == _STYLE:
                pieces.append(self._text[at : attribute.start])
                at = attribute.end
        pieces.append(self._text[at : tag.end])
        return "".join(pieces)

    def _style_end(self, tag: _Tag) -> int:
        """Return where the text of a <style> ends, at the latest with the document."""
        end = _STYLE_END.search(self._text, tag.end)
        return len(self._text) if end is None else end.start()

    def _check_style(self, tag: _Tag, end: int) -> None:
        before = self._masked(0, tag.start)
        depth = sum(bool(_OPENS.match(c)) - bool(_CLOSES.match(c)) for c in before)
        if depth > 0:
            raise Uninlinable(f"line {self._line(tag)}: a <style> under a condition: take it out")
        if not all(construct.startswith("{{") for construct in self._masked(tag.end, end)):
            raise Uninlinable(
                f"line {self._line(tag)}: a <style> with Jinja other than {{{{ ... }}}}: "
                "put rules under a condition into style attributes"
            )

    def _check_element(self, tag: _Tag) -> None:
        # What stands next to a construct is masked together with it.
        named = [(_MASK.sub("", a.name), a) for a in tag.attributes]
        chosen = any(name in ("class", "id", _STYLE) for name, _ in named)
        around = any(_MASK.search(a.name) for a in tag.attributes)
        within = any(_MASK.search(a.value) for name, a in named if name in ("class", "id"))
        if within or (chosen and around):
            raise Uninlinable(
                f"line {self._line(tag)}: the class, id or style of <{tag.name}> depends on a "
                "value: write the element twice, under a condition, or take a style attribute "
                "with the value in it"
            )

    def _masked(self, start: int, end: int) -> list[str]:
        return [
            self._constructs[ord(mask[1]) - _FIRST]
            for mask in _MASK.finditer(self._text[start:end])
        ]

    def _line(self, tag: _Tag) -> int:
        before = _MASK.sub(
            lambda mask: self._constructs[ord(mask[1]) - _FIRST], self._text[: tag.start]
        )
        return before.count("\n") + 1


class _Tags(HTMLParser):
    """Finds the start tags of a document with their places."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[_Tag] = []
        self._lines = [0, *(m.end() for m in re.finditer("\n", text))]
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line, column = self.getpos()
        start = self._lines[line - 1] + column
        raw = self.get_starttag_text() or ""
        name = _TAG_NAME.match(raw)
        if name is None:
            return
        attributes = tuple(
            _Attribute(
                found[1].lower(),
                found[2] or found[3] or found[4] or "",
                start + found.start(),
                start + found.end(),
            )
            for found in _ATTRIBUTE.finditer(raw, name.end())
        )
        self.found.append(_Tag(tag, start, start + name.end(), start + len(raw), attributes))


class _Answer(HTMLParser):
    """What css-inline made of the numbered elements: their styles, and the texts of <style>."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.styles: dict[int, str] = {}
        self.texts: dict[int, str] = {}
        self._within: int | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        mark = values.get(_MARK)
        self._within = None
        if mark is None:
            return
        style = values.get(_STYLE)
        if style:
            self.styles.setdefault(int(mark), style)
        if tag == _STYLE:
            self._within = int(mark)

    def handle_data(self, data: str) -> None:
        if self._within is not None:
            self.texts[self._within] = self.texts.get(self._within, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._within = None
