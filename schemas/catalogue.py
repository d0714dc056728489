"""The template catalogue: which templates there are, what each needs, and their sources.

A directory of templates holds one directory for each: `template.toml` declares it, and a directory
for each locale holds the Jinja sources of its subject, its text and its HTML.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas.errors import BrokenCatalogue, UnknownTemplate
from schemas.manifest import Category, Manifest, OnAmbiguous, read_manifest
from schemas.url_patterns import UrlPattern
from schemas.variables import Variable

DEFAULT_DIRECTORY: Final = Path(__file__).parent / "templates"
DEFAULT_LOCALE: Final = "en"
_SUBJECT: Final = "subject.txt.j2"
_TEXT: Final = "body.txt.j2"
_HTML: Final = "body.html.j2"
_SHOWN_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class VariableProblem:
    """One thing that is wrong with a request's data; `field` names it as `data.<variable>`."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """The Jinja sources of one template in one locale."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Template:
    """One template: what it declares, and its sources by locale.

    `ttl_ms` says how long its mails are worth sending; None: they do not expire of themselves.
    `ignores_suppression`: they go to suppressed recipients too. `unsubscribe_url`: the manifest's
    own; None: a subscription mail has the one of the settings. `required` are the names of the
    variables that it cannot do without.
    """

    name: str
    category: Category
    ttl_ms: int | None
    on_ambiguous: OnAmbiguous
    variables: Mapping[str, Variable]
    sources: Mapping[str, TemplateSource]
    ignores_suppression: bool = False
    unsubscribe_url: UrlPattern | None = None
    required: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        names = frozenset(name for name, variable in self.variables.items() if variable.required)
        object.__setattr__(self, "required", names)

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales that it is written in, sorted."""
        return tuple(sorted(self.sources))

    def locale_for(self, wanted: str) -> str:
        """Return the locale to write in: the wanted one, one of its language, or the default.

        Upper and lower case do not matter, nor whether parts are joined by hyphens or underscores.
        """
        if wanted in self.sources:
            return wanted
        by_tag = {locale.lower(): locale for locale in self.locales}
        tag = wanted.replace("_", "-").lower()
        while tag:
            if tag in by_tag:
                return by_tag[tag]
            tag = tag.rpartition("-")[0]
        language = wanted.replace("_", "-").lower().partition("-")[0]
        kin = (by_tag[tag] for tag in by_tag if tag.partition("-")[0] == language)
        return next(kin, DEFAULT_LOCALE)

    def source(self, locale: str) -> TemplateSource:
        """Return the sources in one of `locales`."""
        return self.sources[locale]

    def check(
        self, data: Mapping[str, str], *, allow_loopback_http: bool = True
    ) -> list[VariableProblem]:
        """Return everything that is wrong with the values for this template's variables."""
        problems = []
        for name, value in data.items():
            variable = self.variables.get(name)
            if variable is None:
                problems.append(_problem(name, self._unknown()))
                continue
            message = variable.problem(value, allow_loopback_http=allow_loopback_http)
            if message is not None:
                problems.append(_problem(name, message))
        if not self.required <= data.keys():
            for name in self.variables:
                if name in self.required and name not in data:
                    problems.append(_problem(name, f"is required by the template {self.name}"))
        return problems

    def _unknown(self) -> str:
        takes = ", ".join(self.variables) or "no variables"
        return f"is not a variable of the template {self.name}; it takes {takes}"


def _problem(name: str, message: str) -> VariableProblem:
    return VariableProblem(f"data.{name[:_SHOWN_NAME]}", message)


class Catalogue:
    """The templates by name. It never changes once it is loaded."""

    def __init__(self, templates: Mapping[str, Template]) -> None:
        self._templates = dict(templates)
        self.names = tuple(sorted(templates))

    @classmethod
    def load(cls, directory: Path) -> "Catalogue":
        """Read every template in a directory.

        Raises:
            BrokenCatalogue: one line for each thing that is wrong anywhere in the directory.
        """
        problems: list[str] = []
        if not directory.is_dir():
            raise BrokenCatalogue([f"{directory}: is not a directory"])
        templates = {}
        for entry in _directories(directory):
            template = _read_template(entry, problems)
            if template is not None:
                templates[template.name] = template
        if not templates and not problems:
            problems.append(f"{directory}: holds no template, that is no directory with a manifest")
        if problems:
            raise BrokenCatalogue(problems)
        return cls(templates)

    def get(self, name: str) -> Template:
        """Return the template of this name.

        Raises:
            UnknownTemplate: there is none; the message lists those that there are.
        """
        template = self._templates.get(name)
        if template is None:
            raise UnknownTemplate(name, self.names)
        return template


def _directories(directory: Path) -> list[Path]:
    return sorted(
        entry
        for entry in directory.iterdir()
        if entry.is_dir() and not entry.name.startswith((".", "_"))
    )


def _read_template(directory: Path, problems: list[str]) -> Template | None:
    manifest = read_manifest(directory, problems)
    sources = {entry.name: _read_source(entry, problems) for entry in _directories(directory)}
    if DEFAULT_LOCALE not in sources:
        problems.append(f"{directory}: has no directory for the default locale {DEFAULT_LOCALE}")
    if manifest is None:
        return None
    return _template(manifest, sources)


def _template(manifest: Manifest, sources: Mapping[str, TemplateSource]) -> Template:
    return Template(
        manifest.name,
        manifest.category,
        manifest.ttl_ms,
        manifest.on_ambiguous,
        manifest.variables,
        sources,
        manifest.ignores_suppression,
        manifest.unsubscribe_url,
    )


def _read_source(directory: Path, problems: list[str]) -> TemplateSource:
    return TemplateSource(
        _read_file(directory / _SUBJECT, problems),
        _read_file(directory / _TEXT, problems),
        _read_file(directory / _HTML, problems),
    )


def _read_file(path: Path, problems: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        problems.append(f"{path}: is missing")
    except (UnicodeDecodeError, OSError) as error:
        problems.append(f"{path}: cannot be read: {error}")
    return ""
