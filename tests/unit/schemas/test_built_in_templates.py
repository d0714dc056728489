"""The templates that come with the package."""

import re
from html.parser import HTMLParser

import pytest
from jinja2 import Environment, StrictUndefined, select_autoescape

from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue, Template
from schemas.manifest import Category, OnAmbiguous
from schemas.variables import Kind

CATALOGUE = Catalogue.load(DEFAULT_DIRECTORY)
LOCALES = ("de", "en", "zh-CN")
EACH = [(CATALOGUE.get(name), locale) for name in CATALOGUE.names for locale in LOCALES]
each_source = pytest.mark.parametrize(
    ("template", "locale"), EACH, ids=[f"{template.name}-{locale}" for template, locale in EACH]
)


class Document(HTMLParser):
    """The tags, links and text of an HTML document."""

    VOID = frozenset({"meta", "br", "!doctype"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str | None]:
        return [value for name, value in self.attributes if name == attribute]


def example_data(template: Template, *, optional: bool) -> dict[str, str]:
    """A value for each variable that tells which it is; optional ones are empty if not wanted."""
    return {
        variable.name: ""
        if not (variable.required or optional)
        else f"https://example.com/{variable.name}?a=1&b=<2>"
        if variable.kind is Kind.URL
        else f"<{variable.name}>"
        for variable in template.variables.values()
    }


def render(source: str, data: dict[str, str], *, html: bool = False) -> str:
    environment = Environment(
        undefined=StrictUndefined,
        autoescape=select_autoescape(default_for_string=html),
        keep_trailing_newline=True,
    )
    return environment.from_string(source).render(data)


def test_the_catalogue_holds_the_four_mails_of_a_signup() -> None:
    """These names are what requests may ask for."""
    assert CATALOGUE.names == ("password-reset", "plain", "signup-confirmation", "welcome")
    assert {CATALOGUE.get(name).locales for name in CATALOGUE.names} == {LOCALES}


@pytest.mark.parametrize(
    ("name", "required", "category"),
    [
        ("signup-confirmation", {"confirm_url"}, Category.TRANSACTIONAL),
        ("welcome", set(), Category.TRANSACTIONAL),
        ("password-reset", {"reset_url"}, Category.SECURITY),
        ("plain", {"subject", "body"}, Category.TRANSACTIONAL),
    ],
)
def test_a_template_asks_for_little(name: str, required: set[str], category: Category) -> None:
    """The required variables are the ones a mail makes no sense without."""
    template = CATALOGUE.get(name)

    assert {v.name for v in template.variables.values() if v.required} == required
    assert template.category is category
    assert template.on_ambiguous is OnAmbiguous.RESEND
    assert template.ttl_ms


@each_source
@pytest.mark.parametrize("optional", [False, True])
def test_a_mail_holds_every_value_in_text_and_html(
    template: Template, locale: str, optional: bool
) -> None:
    """Both bodies say the same, no value is lost, and no markup comes from a value."""
    data = example_data(template, optional=optional)
    source = template.source(locale)

    text = render(source.subject, data) + render(source.text, data)
    document = Document(render(source.html, data, html=True))

    links = document.values("href")
    for variable in template.variables.values():
        value = data[variable.name]
        assert value in text
        assert value in links if value and variable.kind is Kind.URL else value in document.text
    assert set(links) == {value for value in data.values() if value.startswith("https:")}


@each_source
def test_a_subject_is_one_line(template: Template, locale: str) -> None:
    """A subject can become a header as it is."""
    subject = render(template.source(locale).subject, example_data(template, optional=True))

    assert subject.splitlines() == [subject.rstrip("\n")]
    assert subject.strip() == subject.rstrip("\n")


@each_source
def test_html_is_well_formed_and_accessible(template: Template, locale: str) -> None:
    """Each document closes its tags, names its language and title, and uses no layout tables."""
    data = example_data(template, optional=True)
    document = Document(render(template.source(locale).html, data, html=True))

    assert document.open == []
    assert document.values("lang") == [locale, locale]
    assert "title" in document.tags
    assert "table" not in document.tags
    assert all(document.values("aria-label"))


@each_source
def test_html_loads_nothing(template: Template, locale: str) -> None:
    """A mail shows without network, and tells nobody that it was opened."""
    html = template.source(locale).html

    assert re.findall(r"<(?:img|script|link|iframe|form|style)|url\(|\bsrc=|@import", html) == []
    assert re.findall(r"https?://", html) == []


@each_source
def test_text_has_no_ragged_space(template: Template, locale: str) -> None:
    """Optional parts leave neither double blank lines nor spaces at a line's end."""
    for optional in (False, True):
        text = render(template.source(locale).text, example_data(template, optional=optional))
        assert re.findall(r"\n\n\n|[ \t]\n|^\s|  ", text) == []


@pytest.mark.parametrize("locale", LOCALES)
def test_plain_keeps_line_breaks_in_both_bodies(locale: str) -> None:
    """What was written in lines is read in lines."""
    source = CATALOGUE.get("plain").source(locale)
    data = {"subject": "Report", "body": "First\n\nSecond <b>\r\nThird"}

    html = render(source.html, data, html=True)

    assert render(source.text, data) == "First\n\nSecond <b>\r\nThird\n"
    assert "First<br>\n<br>\nSecond &lt;b&gt;<br>\nThird</p>" in html
