"""Renders an event's template: Jinja2, compiled once per template and locale, HTML escaped."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jinja2 import (
    Environment,
    FunctionLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
)
from jinja2 import Template as Compiled
from msgspec import Struct

from consumers.delivery.bare import Filled, text_of
from consumers.delivery.layout import Layout, layout_of
from consumers.delivery.stylesheet import Uninlinable, inline_styles
from schemas.catalogue import Catalogue, Template
from schemas.errors import BrokenCatalogue
from schemas.events import SignupEvent

_SUBJECT: Final = "subject.txt"
_TEXT: Final = "body.txt"
_HTML: Final = "body.html"
_NOTHING: Final[Mapping[str, str]] = {}
#: What a template's own arithmetic or filters may raise on values that they did not expect.
_TEMPLATE_FAULTS = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError)


class Unrenderable(ValueError):
    """The event cannot become a mail, and another attempt would not change that."""


class Rendered(Struct, frozen=True, gc=False):
    """A mail's texts, rendered: the subject, and the others, perhaps still in their moulds."""

    subject: str
    text: str | Filled
    html: str | Filled


@dataclass(frozen=True, slots=True)
class _Source:
    """One source, compiled, and its layout if it has one."""

    compiled: Compiled
    layout: Layout | None = None

    def fill(self, values: Mapping[str, str], known: MutableMapping[str, Any]) -> str | Filled:
        """Put in the values; `known` are the environment's globals."""
        if self.layout is not None:
            try:
                return self.layout.fill(values)
            except LookupError:
                # Jinja says what is wrong, if anything is.
                pass
        return _run(self.compiled, {**known, **values}, known)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One template in one locale. `defaults` are the values that events need not bring."""

    subject: _Source
    text: _Source
    html: _Source
    defaults: Mapping[str, str]
    globals: MutableMapping[str, Any]


class Renderer:
    """Renders events with the templates of one catalogue.

    An event's variables are data only: templates come from the catalogue and nowhere else.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        """Compile every template in each of its locales.

        Raises:
            BrokenCatalogue: one line for each source that is no Jinja template, or whose CSS
                cannot be inlined.
        """
        self._catalogue = catalogue
        self._compiled: dict[str, dict[str, _Compiled]] = {}
        html = Environment(
            loader=FunctionLoader(self._source),
            autoescape=True,
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        # One for each kind: what is escaped does not depend on which source includes which.
        plain = html.overlay(autoescape=False)
        problems: list[str] = []
        for name in catalogue.names:
            template = catalogue.get(name)
            self._compiled[name] = {
                locale: self._compile(template, locale, (plain, html), problems)
                for locale in template.locales
            }
        if problems:
            raise BrokenCatalogue(problems)

    def render(self, event: SignupEvent, extra: Mapping[str, str] = _NOTHING) -> Rendered:
        """Render the event's template in the best locale that it has.

        A variable that the template declares as optional and the event lacks is empty. `extra`
        holds values that do not come from the event; those of the event go before them.

        Raises:
            UnknownTemplate: the catalogue has no such template.
            Unrenderable: a variable is missing or wrong, or the template fails on its values.
        """
        template = self._catalogue.get(event.template)
        problems = template.check(event.data)
        if problems:
            raise Unrenderable("; ".join(f"{p.field}: {p.message}" for p in problems))
        compiled = self._compiled[event.template][template.locale_for(event.locale)]
        values = {**compiled.defaults, **extra, **event.data}
        try:
            return Rendered(
                text_of(compiled.subject.fill(values, compiled.globals)),
                compiled.text.fill(values, compiled.globals),
                compiled.html.fill(values, compiled.globals),
            )
        except _TEMPLATE_FAULTS as error:
            raise Unrenderable(f"template {event.template!r} fails: {error}") from error

    def _compile(
        self,
        template: Template,
        locale: str,
        environments: tuple[Environment, Environment],
        problems: list[str],
    ) -> _Compiled:
        plain, html = environments

        def get(environment: Environment, part: str) -> _Source:
            path = f"{template.name}/{locale}/{part}"
            try:
                compiled = environment.get_template(path)
            except TemplateSyntaxError as error:
                problems.append(f"{path}.j2: line {error.lineno}: {error.message}")
            except Uninlinable as error:
                problems.append(f"{path}.j2: {error}")
            else:
                return _Source(compiled, layout_of(self._source(path) or "", environment))
            return _Source(environment.from_string(""))

        return _Compiled(
            subject=get(plain, _SUBJECT),
            text=get(plain, _TEXT),
            html=get(html, _HTML),
            defaults=_empty_optional(template),
            globals=html.globals,
        )

    def _source(self, path: str) -> str | None:
        """Return the source of `template/locale/part`, which templates may include, too."""
        name, _, rest = path.partition("/")
        locale, _, part = rest.partition("/")
        try:
            source = self._catalogue.get(name).source(locale)
        except LookupError:
            return None
        if part == _HTML:
            return _inlined(source.html)
        return {_SUBJECT: source.subject, _TEXT: source.text}.get(part)


#: Each is asked for twice.
_inlined: Final = lru_cache(maxsize=1)(inline_styles)


def _empty_optional(template: Template) -> dict[str, str]:
    return {name: "" for name, variable in template.variables.items() if not variable.required}


def _run(template: Compiled, values: dict[str, Any], known: MutableMapping[str, Any]) -> str:
    """Do as `template.render` does without copying the values, which takes most of its time.

    `known` are the environment's globals. Those of the template are the same in a view that is slow
    to go through.
    """
    environment = template.environment
    context = environment.context_class(
        environment, values, template.name, template.blocks, globals=known
    )
    return "".join(template.root_render_func(context))
