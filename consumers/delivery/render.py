"""Renders an event's template: Jinja2, compiled once per template and locale, HTML escaped."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateError, select_autoescape
from jinja2 import Template as CompiledTemplate

from schemas.catalogue import Catalogue, Template
from schemas.events import SignupEvent

#: What a template's own arithmetic or filters may raise on values that they did not expect.
_TEMPLATE_FAULTS = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError)


class Unrenderable(ValueError):
    """The event cannot become a mail, and another attempt would not change that."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail's texts, rendered."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Compiled:
    subject: CompiledTemplate
    text: CompiledTemplate
    html: CompiledTemplate
    defaults: Mapping[str, Any]


class Renderer:
    """Renders events with the templates of one catalogue.

    An event's variables are data only: templates come from the catalogue and nowhere else.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._compiled: dict[tuple[str, str], _Compiled] = {}
        self._environment = Environment(
            loader=FunctionLoader(self._source),
            autoescape=select_autoescape(("html",), default=False),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            auto_reload=False,
        )

    def render(self, event: SignupEvent) -> Rendered:
        """Render the event's template in the best locale that it has.

        A variable that the template declares as optional and the event lacks is empty.

        Raises:
            UnknownTemplate: the catalogue has no such template.
            Unrenderable: a variable is missing or wrong, or the template fails on its values.
        """
        template = self._catalogue.get(event.template)
        problems = template.check(event.data)
        if problems:
            raise Unrenderable("; ".join(f"{p.field}: {p.message}" for p in problems))
        try:
            compiled = self._compile(template, template.locale_for(event.locale))
            values = {**compiled.defaults, **event.data}
            return Rendered(
                _run(compiled.subject, values),
                _run(compiled.text, values),
                _run(compiled.html, values),
            )
        except _TEMPLATE_FAULTS as error:
            raise Unrenderable(f"template {event.template!r} fails: {error}") from error

    def _compile(self, template: Template, locale: str) -> _Compiled:
        key = (template.name, locale)
        compiled = self._compiled.get(key)
        if compiled is None:
            get = self._environment.get_template
            compiled = self._compiled[key] = _Compiled(
                subject=get(f"{template.name}/{locale}/subject.txt"),
                text=get(f"{template.name}/{locale}/body.txt"),
                html=get(f"{template.name}/{locale}/body.html"),
                defaults={**self._environment.globals, **_empty_optional(template)},
            )
        return compiled

    def _source(self, path: str) -> str | None:
        name, locale, part = path.rsplit("/", 2)
        source = self._catalogue.get(name).source(locale)
        parts = {"subject.txt": source.subject, "body.txt": source.text, "body.html": source.html}
        return parts.get(part)


def _empty_optional(template: Template) -> dict[str, str]:
    return {name: "" for name, variable in template.variables.items() if not variable.required}


def _run(template: CompiledTemplate, values: dict[str, Any]) -> str:
    """Do as `template.render` does without copying the values, which takes most of its time."""
    return "".join(template.root_render_func(template.new_context(values, shared=True)))
