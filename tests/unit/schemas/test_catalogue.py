"""The catalogue: what it loads, what it refuses, and what it says of a request's data."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import Catalogue, Template, TemplateSource, VariableProblem
from schemas.errors import BrokenCatalogue, UnknownTemplate
from schemas.manifest import Category, OnAmbiguous
from schemas.url_patterns import UrlPattern
from schemas.variables import Kind, Variable

MANIFEST = """
name = "invoice"
category = "transactional"
ttl = "36h"
on_ambiguous = "hold"

[variables.invoice_url]
kind = "url"
required = true
max_length = 2048
description = "Where the invoice is."

[variables.note]
kind = "text"
required = false
max_length = 20
multiline = true
description = "A note."
"""

INVOICE = Template(
    "invoice",
    Category.TRANSACTIONAL,
    36 * 3_600_000,
    OnAmbiguous.HOLD,
    {
        "invoice_url": Variable("invoice_url", Kind.URL, 2048, True, "Where the invoice is."),
        "note": Variable("note", Kind.TEXT, 20, False, "A note.", multiline=True),
    },
    {"en": TemplateSource("Invoice\n", "{{ invoice_url }}\n", "<p>{{ invoice_url }}</p>\n")},
)


def write_template(
    directory: Path,
    name: str = "invoice",
    manifest: str = MANIFEST,
    locales: tuple[str, ...] = ("en",),
) -> Path:
    """Write one template that is fine, and return its directory."""
    template = directory / name
    template.mkdir()
    (template / "template.toml").write_text(manifest, encoding="utf-8")
    for locale in locales:
        folder = template / locale
        folder.mkdir()
        (folder / "subject.txt.j2").write_text("Invoice\n", encoding="utf-8")
        (folder / "body.txt.j2").write_text("{{ invoice_url }}\n", encoding="utf-8")
        (folder / "body.html.j2").write_text("<p>{{ invoice_url }}</p>\n", encoding="utf-8")
    return template


def problems_of(directory: Path) -> list[str]:
    """What the catalogue says of a directory, with paths relative to it."""
    with pytest.raises(BrokenCatalogue) as caught:
        Catalogue.load(directory)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.replace(f"{directory}/", "") for problem in caught.value.problems]


def with_locales(*locales: str) -> Template:
    source = TemplateSource("", "", "")
    sources = dict.fromkeys(locales, source)
    return Template("x", Category.SECURITY, None, OnAmbiguous.RESEND, {}, sources)


def test_a_template_is_what_its_directory_says(tmp_path: Path) -> None:
    """Manifest and sources become one value."""
    write_template(tmp_path)

    catalogue = Catalogue.load(tmp_path)

    assert catalogue.names == ("invoice",)
    assert catalogue.get("invoice") == INVOICE
    assert INVOICE.locales == ("en",)
    assert INVOICE.source("en").text == "{{ invoice_url }}\n"


def test_a_template_without_ttl_has_none(tmp_path: Path) -> None:
    """Its mails do not expire of themselves."""
    write_template(tmp_path, manifest=MANIFEST.replace('ttl = "36h"\n', ""))

    assert Catalogue.load(tmp_path).get("invoice").ttl_ms is None


@pytest.mark.parametrize(
    ("line", "ignores"),
    [("", False), ("ignores_suppression = false\n", False), ("ignores_suppression = true\n", True)],
)
def test_a_security_template_may_ignore_suppressions(
    tmp_path: Path, line: str, ignores: bool
) -> None:
    """Only where its manifest says so."""
    security = MANIFEST.replace("transactional", "security").lstrip()
    write_template(tmp_path, manifest=line + security)

    assert Catalogue.load(tmp_path).get("invoice").ignores_suppression is ignores


@pytest.mark.parametrize("category", ["transactional", "subscription"])
def test_no_other_template_may_ignore_suppressions(tmp_path: Path, category: str) -> None:
    """Whoever wants no more mail gets no more of these."""
    manifest = MANIFEST.replace("transactional", category)
    write_template(tmp_path, manifest="ignores_suppression = true" + manifest)

    assert problems_of(tmp_path) == [
        "invoice/template.toml: ignores_suppression: is for the category security only"
    ]


@pytest.mark.parametrize("value", ["1", '"yes"'])
def test_whether_suppressions_are_ignored_is_true_or_false(tmp_path: Path, value: str) -> None:
    """Nothing else is taken for either."""
    write_template(tmp_path, manifest=f"ignores_suppression = {value}{MANIFEST}")

    assert len(problems_of(tmp_path)) == 1
    assert "ignores_suppression: must be true or false" in problems_of(tmp_path)[0]


def test_a_subscription_template_may_say_where_to_unsubscribe(tmp_path: Path) -> None:
    """By a URL of its own, with values of its own."""
    url = "https://example.com/leave?u={invoice_url}&m={id}"
    manifest = MANIFEST.replace("transactional", "subscription")
    write_template(tmp_path, manifest=f'unsubscribe_url = "{url}"{manifest}')

    assert Catalogue.load(tmp_path).get("invoice").unsubscribe_url == UrlPattern.parse(url)


@pytest.mark.parametrize(
    ("url", "category", "problem"),
    [
        ("https://example.com", "transactional", "is for the category subscription only"),
        ("http://example.com", "subscription", "must be an https URL"),
        ("https://example.com/{note}", "subscription", "{note} must be a required variable"),
        ("https://example.com/{x}", "subscription", "{x} is no variable, nor {id} or {template}"),
    ],
)
def test_a_wrong_url_to_unsubscribe_is_reported(
    tmp_path: Path, url: str, category: str, problem: str
) -> None:
    """It would fail for every mail."""
    manifest = MANIFEST.replace("transactional", category)
    write_template(tmp_path, manifest=f'unsubscribe_url = "{url}"{manifest}')

    assert problems_of(tmp_path) == [f"invoice/template.toml: unsubscribe_url: {problem}"]


def test_files_and_hidden_directories_are_left_alone(tmp_path: Path) -> None:
    """A README or an editor's directory beside the templates is no template."""
    template = write_template(tmp_path)
    (tmp_path / "README.md").touch()
    (tmp_path / ".git").mkdir()
    (template / ".cache").mkdir()

    assert Catalogue.load(tmp_path).get("invoice") == INVOICE


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    """The message can be shown to the requester as it is."""
    write_template(tmp_path)
    write_template(tmp_path, "receipt", MANIFEST.replace("invoice", "receipt"))

    with pytest.raises(UnknownTemplate) as caught:
        Catalogue.load(tmp_path).get("bill")

    assert str(caught.value) == "there is no template 'bill'; the templates are invoice, receipt"
    assert caught.value.known == ("invoice", "receipt")


def test_every_problem_of_every_template_is_reported_at_once(tmp_path: Path) -> None:
    """One start of a process is enough to learn all that is to mend."""
    manifest = """
name = "Bill"
category = "spam"
ttl = "tomorrow"
colour = "red"

[variables]
note = 1

[variables.Total]
kind = "number"
required = "yes"
max_length = 0

[variables.link]
kind = "url"
required = true
max_length = true
multiline = true
description = " "
"""
    write_template(tmp_path, "bill", manifest, locales=("de",))
    broken = write_template(tmp_path)
    (broken / "en" / "body.html.j2").unlink()
    (broken / "en" / "subject.txt.j2").write_bytes(b"\xff")

    found = problems_of(tmp_path)

    toml = "bill/template.toml: "
    assert found == [
        toml + "colour: is not known; known are category, ignores_suppression, name, "
        "on_ambiguous, ttl, unsubscribe_url, variables",
        toml + "name: must be lower-case words joined by hyphens, not 'Bill'",
        toml + "variables.note: must be a table",
        toml + "variables.Total: must be named by lower-case letters, digits and underscores",
        toml + "variables.Total.kind: must be one of text, url, not 'number'",
        toml + "variables.Total.max_length: must be a whole number above zero, not 0",
        toml + "variables.Total.required: must be true or false, not 'yes'",
        toml + "variables.Total.description: must be a text that is not empty; it is missing",
        toml + "variables.link.max_length: must be a whole number above zero, not True",
        toml + "variables.link.description: must be a text that is not empty, not ' '",
        toml + "variables.link.multiline: is for variables of kind text only",
        toml + "category: must be one of transactional, security, subscription, not 'spam'",
        toml + "ttl: must be a duration such as 90s, 10m, 24h or 7d, not 'tomorrow'",
        toml + "on_ambiguous: must be one of resend, hold; it is missing",
        "bill: has no directory for the default locale en",
        "invoice/en/subject.txt.j2: cannot be read: 'utf-8' codec can't decode byte 0xff in "
        "position 0: invalid start byte",
        "invoice/en/body.html.j2: is missing",
    ]


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("name = ", "cannot be read: Invalid value"),
        (MANIFEST.replace('"invoice"', '"bill"'), "must be the name of its directory, 'invoice'"),
        ('variables = 1\nname = "invoice"', "variables: must be a table, not 1"),
    ],
)
def test_a_manifest_that_is_wrong_is_a_problem(tmp_path: Path, manifest: str, problem: str) -> None:
    """The problem names the manifest and what is wrong in it."""
    write_template(tmp_path, manifest=manifest)

    found = problems_of(tmp_path)

    assert [line for line in found if problem in line] != []
    assert all(line.startswith("invoice/template.toml: ") for line in found)


def test_a_directory_without_manifest_is_a_problem(tmp_path: Path) -> None:
    """A directory is a template, or it does not belong here."""
    (write_template(tmp_path) / "template.toml").unlink()

    assert problems_of(tmp_path) == ["invoice/template.toml: is missing"]


def test_a_directory_without_templates_is_a_problem(tmp_path: Path) -> None:
    """An empty or a wrong directory is noticed at the start."""
    assert "holds no template" in problems_of(tmp_path)[0]
    assert "is not a directory" in problems_of(tmp_path / "no-such")[0]


@pytest.mark.parametrize(
    ("wanted", "locale"),
    [
        ("en", "en"),
        ("de", "de"),
        ("de-AT", "de"),
        ("DE_at", "de"),
        ("de-Latn-CH-1996", "de"),
        ("zh-CN", "zh-CN"),
        ("zh_cn", "zh-CN"),
        ("zh", "zh-CN"),
        ("zh-Hans-CN", "zh-CN"),
        ("pt-BR", "pt-BR"),
        ("pt-PT", "pt"),
        ("fr", "en"),
        ("", "en"),
        ("-", "en"),
        ("deu", "en"),
    ],
)
def test_a_locale_falls_back_to_its_language_and_then_to_english(wanted: str, locale: str) -> None:
    """Exact, then shorter and shorter, then any of the language, then the default."""
    assert with_locales("de", "en", "pt", "pt-BR", "zh-CN").locale_for(wanted) == locale


@given(st.text(max_size=20))
def test_any_wanted_locale_gives_one_that_the_template_has(wanted: str) -> None:
    """There is always a locale to write in."""
    template = with_locales("de", "en", "zh-CN")

    assert template.locale_for(wanted) in template.locales


def test_fitting_data_has_no_problem() -> None:
    """What is required is there, what is optional may be there."""
    url = "https://example.com/i/7"

    assert INVOICE.check({"invoice_url": url}) == []
    assert INVOICE.check({"invoice_url": url, "note": "Thank you!\nBye."}) == []


def test_every_problem_of_the_data_is_named_with_its_field() -> None:
    """One answer tells the requester all that is to mend."""
    assert INVOICE.check({"note": "x" * 21, "colour": "red"}) == [
        VariableProblem("data.note", "is 21 characters long; at most 20 are allowed"),
        VariableProblem(
            "data.colour",
            "is not a variable of the template invoice; it takes invoice_url, note",
        ),
        VariableProblem("data.invoice_url", "is required by the template invoice"),
    ]


def test_http_to_this_machine_can_be_refused() -> None:
    """Whether links to loopback may be plain is the caller's decision."""
    data = {"invoice_url": "http://localhost:3000/i/7"}

    assert INVOICE.check(data) == []
    assert INVOICE.check(data, allow_loopback_http=False) == [
        VariableProblem("data.invoice_url", "must be an https URL")
    ]


def test_a_huge_field_name_is_cut() -> None:
    """An answer does not grow with what was sent."""
    problem = INVOICE.check({"x" * 10_000: "", "invoice_url": "https://example.com"})[0]

    assert problem.field == "data." + "x" * 100
