"""Events become mails by their templates, each compiled once, with values that stay values."""

import re
from collections.abc import Mapping
from email import message_from_bytes
from email.policy import default
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from consumers.delivery.bare import text_of
from consumers.delivery.compose import Composer
from consumers.delivery.letterhead import Letterhead
from consumers.delivery.render import Renderer, Unrenderable
from consumers.delivery.sender import ReturnPath, Sender
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue, Template, TemplateSource
from schemas.errors import BrokenCatalogue, UnknownTemplate
from schemas.events import Recipient, SignupEvent
from schemas.manifest import Category, OnAmbiguous
from schemas.variables import Kind, Variable


class CountingCatalogue(Catalogue):
    """Counts how often each template is asked for."""

    def __init__(self, templates: Mapping[str, Template]) -> None:
        super().__init__(templates)
        self.asked = 0

    def get(self, name: str) -> Template:
        self.asked += 1
        return super().get(name)


def catalogue(
    text: str = "Hi {{ name }}", html: str = "<p>{{ name }}</p>", subject: str = "S {{ name }}"
) -> CountingCatalogue:
    variables = {
        name: Variable(name, Kind.TEXT, 5000, name == "name", "A value.", multiline=True)
        for name in ("name", "note")
    }
    sources = {"en": TemplateSource(subject, text, html), "de": TemplateSource("de", "de", "de")}
    template = Template(
        "greeting", Category.TRANSACTIONAL, None, OnAmbiguous.RESEND, variables, sources
    )
    return CountingCatalogue({"greeting": template})


def event(
    data: Mapping[str, str], template: str = "greeting", locale: str = "en-GB"
) -> SignupEvent:
    recipient = Recipient("ada@example.org", "Ada")
    return SignupEvent(UUID(int=1), 1_714_645_230_000, template, recipient, locale, data, "t")


def test_values_are_escaped_in_html_only() -> None:
    """Markup in a value is text in the HTML part and stays as it is in the others."""
    rendered = Renderer(catalogue()).render(event({"name": "<b>&"}))

    assert text_of(rendered.html) == "<p>&lt;b&gt;&amp;</p>"
    assert text_of(rendered.text) == "Hi <b>&"
    assert rendered.subject == "S <b>&"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1))
def test_values_are_never_templates(value: str) -> None:
    """Jinja in a value is not run, whatever it says."""
    rendered = Renderer(catalogue()).render(event({"name": "{{ 7*7 }}" + value}))

    assert text_of(rendered.text) == "Hi {{ 7*7 }}" + value


def test_an_optional_variable_that_is_missing_is_empty() -> None:
    """It can be asked for and written without an error."""
    renderer = Renderer(catalogue(text="a{% if note %}!{% endif %}{{ note }}b"))

    assert text_of(renderer.render(event({"name": "x"})).text) == "ab"


@pytest.mark.parametrize(
    ("data", "named"),
    [({}, "data.name"), ({"name": "x", "other": "y"}, "data.other"), ({"name": "\0"}, "data.name")],
)
def test_values_that_the_template_does_not_take_make_no_mail(
    data: dict[str, str], named: str
) -> None:
    """Events come from other producers than our API, too, so values are checked again."""
    with pytest.raises(Unrenderable, match=named):
        Renderer(catalogue()).render(event(data))


@pytest.mark.parametrize(
    "source", ["{{ nothing }}", "{{ 1 // (name|length - 1) }}", "{{ name.a.b }}"]
)
def test_a_template_that_fails_makes_no_mail(source: str) -> None:
    """A template's own fault is the mail's end, not the worker's."""
    with pytest.raises(Unrenderable, match="greeting"):
        Renderer(catalogue(text=source)).render(event({"name": "x"}))


def test_an_unknown_template_is_named() -> None:
    """The catalogue's own error goes on to whoever decides what becomes of the record."""
    with pytest.raises(UnknownTemplate, match="nowhere"):
        Renderer(catalogue()).render(event({"name": "x"}, template="nowhere"))


def test_sources_that_are_no_templates_are_all_named() -> None:
    """Nothing is sent with a catalogue of which a part cannot be used."""
    with pytest.raises(BrokenCatalogue) as caught:
        Renderer(catalogue(subject="{% if %}", html="a\n{{ name"))

    first, second = caught.value.problems
    assert first.startswith("greeting/en/subject.txt.j2: line 1: ")
    assert second.startswith("greeting/en/body.html.j2: line 2: ")


def test_rules_are_inlined_before_the_first_mail() -> None:
    """With the values of each mail in them; a template whose rules cannot be is refused."""
    style = "<style>p{color:{{ name }}}</style>"

    rendered = Renderer(catalogue(html=f"{style}<p>x</p>")).render(event({"name": "red"}))

    assert text_of(rendered.html) == '<p style="color: red">x</p>'
    with pytest.raises(BrokenCatalogue, match=r"greeting/en/body\.html\.j2: line 1: the class"):
        Renderer(catalogue(html=f'{style}<p class="{{{{ name }}}}">x</p>'))


def test_a_template_is_compiled_once_per_locale() -> None:
    """However many mails there are, their sources are read only before the first."""
    templates = catalogue()
    renderer = Renderer(templates)
    first = templates.asked

    for wish in ("en", "en-GB", "fr", "en-x-0", "en-x-1"):
        renderer.render(event({"name": "x"}, locale=wish))

    assert templates.asked == first + 5


def test_an_included_source_is_escaped_as_the_one_around_it() -> None:
    """A text that is included into HTML cannot bring markup."""
    renderer = Renderer(catalogue(html='{% include "greeting/en/body.txt" %}'))

    assert text_of(renderer.render(event({"name": "<b>"})).html) == "Hi &lt;b&gt;"


def test_the_locale_falls_back() -> None:
    """A region's wish is met by its language."""
    assert text_of(Renderer(catalogue()).render(event({"name": "x"}, locale="de-AT")).text) == "de"


BUILT_IN = Catalogue.load(DEFAULT_DIRECTORY)
COMPOSER = Composer(BUILT_IN, Letterhead(Sender("app@example.com")))
DATA = {
    "confirm_url": "https://app.example.com/confirm?token=a&b=%3Cc%3E",
    "reset_url": "https://app.example.com/reset?token=abc",
    "subject": "Grüße, 你好 & <hello>",
    "body": "one\n.two\n<three>",
}


@pytest.mark.parametrize("locale", ["en", "de", "zh-CN"])
@pytest.mark.parametrize("name", BUILT_IN.names)
def test_every_built_in_template_becomes_a_readable_mail(name: str, locale: str) -> None:
    """Each has a subject, a text and an HTML part with its required values in it."""
    template = BUILT_IN.get(name)
    data = {
        variable: DATA.get(variable, "https://app.example.com/x")
        for variable, declared in template.variables.items()
        if declared.required
    }

    message = COMPOSER.compose(event(data, name, locale), 0)

    mail = message_from_bytes(message.content, policy=default)
    assert mail["Subject"]
    text, html = (part.get_content() for part in mail.iter_parts())
    assert "<html" not in text
    assert "<html" in html
    for variable in data:
        if template.variables[variable].kind is Kind.URL:
            assert data[variable] in text


def test_composing_twice_gives_the_same_bytes() -> None:
    """Another worker, another composer, the same mail."""
    sender = Sender("app@example.com", "App")
    first, second = (
        Composer(catalogue(), Letterhead(sender)).compose(event({"name": "x"}), 0) for _ in range(2)
    )

    assert first.content == second.content


def test_bounces_go_to_the_return_path() -> None:
    """It is the envelope's sender only: readers see the sender."""
    letterhead = Letterhead(Sender("app@example.com"), ReturnPath.parse("back@bounces.example.com"))

    message = Composer(catalogue(), letterhead).compose(event({"name": "x"}), 0)

    assert message.envelope_from == "back@bounces.example.com"
    assert message_from_bytes(message.content)["From"] == "app@example.com"
    assert message.message_id.endswith("@example.com>")


def test_without_a_return_path_bounces_go_to_the_sender() -> None:
    """As they would for a mail that a person writes."""
    message = Composer(catalogue(), Letterhead(Sender("a@example.com", "A"))).compose(
        event({"name": "x"}), 0
    )

    assert message.envelope_from == "a@example.com"


def test_the_idempotency_header_is_the_same_for_every_attempt() -> None:
    """A mail that is sent again on demand is a new one to the provider, not to its reader."""
    letterhead = Letterhead(Sender("a@example.com"), idempotency_header="Resend-Idempotency-Key")
    composer = Composer(catalogue(), letterhead)

    first, again, later = (composer.compose(event({"name": "x"}), n) for n in (0, 0, 1))

    assert first.content == again.content
    keys = [message_from_bytes(m.content)["Resend-Idempotency-Key"] for m in (first, later)]
    assert len(set(keys)) == 2
    assert all(re.fullmatch("[0-9a-f]{40}", key) for key in keys)
    assert first.message_id == later.message_id
    assert "Key" not in COMPOSER.compose(event({}, "welcome"), 0).content.decode()


def test_a_mail_for_later_is_dated_when_it_may_go() -> None:
    """A date of days ago is a mark of spam."""
    later = structs.replace(event({"name": "x"}), not_before=1_714_731_630_000)

    content = Composer(catalogue(), Letterhead(Sender("a@example.com"))).compose(later, 0).content

    assert b"\r\nDate: Fri, 03 May 2024 10:20:30 +0000\r\n" in content
