"""The templates: whether each can be rendered, in every locale that any of them has.

Jinja tells of a variable that is not there only when it renders; so the sources are looked through.
"""

from collections.abc import Iterator
from typing import Final

from jinja2 import Environment, meta, nodes

from console.doctor.finding import Finding, Findings, Part
from consumers.delivery.compose import Composer
from consumers.delivery.letterhead import UnfitLetterhead, letterhead_of, signer_of
from consumers.delivery.unsubscribe import VARIABLE
from runtime.settings import Settings
from schemas.catalogue import DEFAULT_DIRECTORY, DEFAULT_LOCALE, Catalogue, Template
from schemas.errors import BrokenCatalogue

_REFERS: Final = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)


def examine_templates(settings: Settings) -> list[Finding]:
    """Load the templates as a worker does and return what is to be said of them."""
    findings = Findings(Part.TEMPLATES)
    directory = settings.templates_dir or DEFAULT_DIRECTORY
    try:
        catalogue = Catalogue.load(directory)
    except BrokenCatalogue as error:
        _broken(findings, error)
        return findings.all
    try:
        Composer(catalogue, letterhead_of(settings), signer_of(settings))
    except BrokenCatalogue as error:
        _broken(findings, error)
        return findings.all
    except UnfitLetterhead as error:
        findings.fail("letterhead", str(error), "correct it; a worker does not start with it")
    return [*findings.all, *check_catalogue(catalogue)]


def check_catalogue(catalogue: Catalogue) -> list[Finding]:
    """Return what is to be said of templates that can be compiled."""
    findings = Findings(Part.TEMPLATES)
    templates = [catalogue.get(name) for name in catalogue.names]
    locales = sorted({locale for template in templates for locale in template.locales})
    for template in templates:
        missing = [locale for locale in locales if locale not in template.sources]
        if missing:
            findings.warn(
                "locales",
                f"{template.name} is not written in {', '.join(missing)}: such recipients get "
                f"another of its languages, or {DEFAULT_LOCALE}",
                f"write {', '.join(f'{template.name}/{locale}' for locale in missing)}",
            )
        _check_variables(findings, template)
    if not findings.all:
        names = ", ".join(catalogue.names)
        findings.ok("templates", f"{names}: each in {', '.join(locales)}")
    return findings.all


def _check_variables(findings: Findings, template: Template) -> None:
    for locale in template.locales:
        used: set[str] = set()
        whole = True
        for part, names in _used(template, locale):
            if names is None:
                whole = False
                continue
            used |= names
            unknown = sorted(names - template.variables.keys() - {VARIABLE})
            if unknown:
                findings.fail(
                    "variables",
                    f"{template.name}/{locale}/{part} uses {', '.join(unknown)}, which is no "
                    "variable of the template: its mails cannot be written",
                    f"declare it in {template.name}/template.toml, or correct its name",
                )
        unused = sorted(template.required - used)
        if whole and unused:
            findings.warn(
                "variables",
                f"{template.name}/{locale} never uses {', '.join(unused)}, which is required",
                f"use it there, or have required = false in {template.name}/template.toml",
            )


def _used(template: Template, locale: str) -> Iterator[tuple[str, set[str] | None]]:
    """Yield each part's variables; None where it takes in others, whose are not known."""
    environment = Environment(autoescape=True)
    source = template.source(locale)
    parts = {"subject.txt.j2": source.subject, "body.txt.j2": source.text}
    for part, text in {**parts, "body.html.j2": source.html}.items():
        tree = environment.parse(text)
        if next(tree.find_all(_REFERS), None) is not None:
            yield part, None
            continue
        yield part, meta.find_undeclared_variables(tree) - environment.globals.keys()


def _broken(findings: Findings, error: BrokenCatalogue) -> None:
    for line in str(error).splitlines():
        findings.fail("templates", line, "correct it; neither API nor worker start with it")
