"""What the doctor says of the view, keys, templates, schemas and clocks."""

from dataclasses import replace
from pathlib import Path

import pytest

from console.doctor.clock_checks import Compared, check_clocks
from console.doctor.finding import Answer, Finding, Level, Unasked
from console.doctor.key_checks import examine_keys
from console.doctor.schema_checks import check_schemas, examine_schemas
from console.doctor.template_checks import check_catalogue, examine_templates
from console.doctor.view_checks import check_view
from console.doctor.view_facts import ViewFacts
from consumers.status.store import Source
from consumers.status.upgrade import TablesAre
from ingest.keys import add_key, hash_key
from runtime.settings import Settings, load_settings
from schemas.archive import current_schema
from schemas.catalogue import Catalogue, Template, TemplateSource
from schemas.manifest import Category, OnAmbiguous
from schemas.variables import Kind, Variable

NOW = 1_900_000_000_000
SOURCE = Source("cluster", {"main": "1"})
VIEW = ViewFacts(TablesAre.CURRENT, SOURCE, NOW - 1_000, 3)
PLACE = "status at db:5432"


def _settings(tmp_path: Path, **settings: str) -> Settings:
    named = {f"MAILCASCADE_{name.upper()}": value for name, value in settings.items()}
    return load_settings({"HOME": str(tmp_path), **named})


def _bad(findings: list[Finding]) -> list[Finding]:
    return [found for found in findings if found.level is not Level.OK]


def test_a_view_that_is_kept_is_well() -> None:
    """Its tables, its source and its projector."""
    found = check_view(VIEW, SOURCE, PLACE, NOW)

    assert {one.level for one in found} == {Level.OK}
    assert found[-1].what == "it writes, and is 3 records behind"


@pytest.mark.parametrize(
    ("view", "there", "level", "check", "says"),
    [
        (Unasked("refused"), None, "warn", "database", f"{PLACE} cannot be used: refused"),
        (ViewFacts(TablesAre.MISSING), None, "warn", "migrations", "there is no view"),
        (ViewFacts(TablesAre.OLDER), None, "warn", "migrations", "earlier release"),
        (ViewFacts(TablesAre.NEWER), None, "fail", "migrations", "no projector of this one"),
        (replace(VIEW, key_fits=False), SOURCE, "warn", "status key", "no recipient is found"),
        (replace(VIEW, projected_at=None), SOURCE, "warn", "projector", "none has written"),
        (replace(VIEW, projected_at=NOW - 90_000), SOURCE, "warn", "projector", "for 90 s"),
        (replace(VIEW, behind=20_000), SOURCE, "warn", "projector", "20000 records behind"),
        (VIEW, Source("other", {"main": "1"}), "fail", "source", "of the cluster cluster"),
        (VIEW, Source("cluster", {"main": "2"}), "fail", "source", "made anew"),
    ],
)
def test_what_is_wrong_with_a_view_is_named_with_its_cure(
    view: Answer[ViewFacts], there: Source | None, level: str, check: str, says: str
) -> None:
    """Mails go out without it: a failure is only what keeps the projector from starting."""
    (found,) = _bad(check_view(view, there, PLACE, NOW))

    assert (found.level, found.check) == (level, check)
    assert says in found.what
    assert found.mend


def test_a_kafka_that_is_away_says_nothing_about_the_view() -> None:
    """Whether the view is of its topics is not known then, and told with Kafka itself."""
    assert _bad(check_view(VIEW, Unasked("nobody answers"), PLACE, NOW)) == []


def test_keys_that_can_be_read_are_counted(tmp_path: Path) -> None:
    """By whom they are of."""
    path = tmp_path / "keys"
    for tenant in ("acme", "acme", "beta"):
        add_key(path, tenant)

    found = examine_keys(_settings(tmp_path, api_keys_file=str(path)))

    assert [(one.level, one.what) for one in found] == [
        (Level.OK, f"3 of 2 names in {path}"),
        (Level.OK, "none: nobody deals with dead letters over HTTP"),
    ]


def test_no_keys_are_well_on_loopback_only(tmp_path: Path) -> None:
    """Where others reach the API it does not start without."""
    assert _bad(examine_keys(_settings(tmp_path))) == []

    (found,) = _bad(examine_keys(_settings(tmp_path, http_host="0.0.0.0")))  # noqa: S104

    assert found.level is Level.FAIL
    assert "mailcascade keys new" in found.mend


def test_what_is_wrong_with_keys_is_told_without_them(tmp_path: Path) -> None:
    """A broken line, a file that others can write, a key twice, a key for both."""
    broken, shared, operators = tmp_path / "broken", tmp_path / "shared", tmp_path / "operators"
    broken.write_text("acme:secret-in-the-wrong-place\n")
    digest = hash_key("one")
    shared.write_text(f"acme:{digest}\nbeta:{digest}\n")
    shared.chmod(0o666)
    operators.write_text(f"ada:{digest}\n")

    (first,) = _bad(examine_keys(_settings(tmp_path, api_keys_file=str(broken))))
    settings = _settings(tmp_path, api_keys_file=str(shared), operator_keys_file=str(operators))
    others = _bad(examine_keys(settings))

    assert first.level is Level.FAIL
    assert "line 1" in first.what
    assert "secret" not in first.what
    assert [one.level for one in others] == [Level.WARN] * 3
    assert others[0].mend == f"chmod go-w {shared}"
    assert "1 keys more than once" in others[1].what
    assert "a client's and an operator's" in others[2].what
    assert digest not in str(others)


def _template(name: str, **sources: TemplateSource) -> Template:
    variables = {
        "link": Variable("link", Kind.URL, 100, True, "A link."),
        "note": Variable("note", Kind.TEXT, 100, False, "A note."),
    }
    locales = {locale.replace("_", "-"): source for locale, source in sources.items()}
    category = Category.TRANSACTIONAL
    return Template(name, category, None, OnAmbiguous.RESEND, variables, locales)


def _source(text: str, html: str = "<p>{{ link }}</p>") -> TemplateSource:
    return TemplateSource("Hello", text, html)


GOOD = _source("{{ link }}{% if note %} {{ note }}{% endif %}")


def test_templates_in_every_locale_are_well() -> None:
    """With the variables that they declare, and nothing else."""
    both = {"one": _template("one", en=GOOD, de=GOOD), "two": _template("two", en=GOOD, de=GOOD)}

    (found,) = check_catalogue(Catalogue(both))

    assert (found.level, found.what) == (Level.OK, "one, two: each in de, en")


@pytest.mark.parametrize(
    ("german", "level", "says"),
    [
        (_source("{{ lnik }} {{ link }}"), "fail", "one/de/body.txt.j2 uses lnik"),
        (_source("nothing", "<p>nothing</p>"), "warn", "one/de never uses link"),
    ],
)
def test_a_variable_that_only_one_locale_gets_wrong_is_found(
    german: TemplateSource, level: str, says: str
) -> None:
    """Jinja would tell of it only when such a mail is written."""
    (found,) = check_catalogue(Catalogue({"one": _template("one", en=GOOD, de=german)}))

    assert found.level == level
    assert says in found.what
    assert "one/template.toml" in found.mend


def test_a_locale_that_only_some_templates_have_is_told() -> None:
    """Its recipients get another language."""
    some = {"one": _template("one", en=GOOD, zh_CN=GOOD), "two": _template("two", en=GOOD)}

    (found,) = check_catalogue(Catalogue(some))

    assert found.level is Level.WARN
    assert "two is not written in zh-CN" in found.what
    assert found.mend == "write two/zh-CN"


def test_what_a_template_takes_in_is_not_guessed_at() -> None:
    """An include may use what it likes, so nothing is said to be unused."""
    including = _source("{% include 'one/en/body.txt' %}", "<p></p>")

    assert _bad(check_catalogue(Catalogue({"one": _template("one", en=GOOD, de=including)}))) == []


def test_the_templates_that_come_with_mailcascade_are_well(tmp_path: Path) -> None:
    """And a directory that is broken is told file by file."""
    assert _bad(examine_templates(_settings(tmp_path))) == []
    (tmp_path / "mine" / "one" / "en").mkdir(parents=True)

    found = examine_templates(_settings(tmp_path, templates_dir=str(tmp_path / "mine")))

    assert {one.level for one in found} == {Level.FAIL}
    assert any("one/en/body.txt.j2: is missing" in one.what for one in found)


def test_a_key_that_cannot_sign_is_told_with_the_templates(tmp_path: Path) -> None:
    """A worker does not start with it."""
    missing = tmp_path / "none.pem"
    settings = _settings(tmp_path, dkim_keys=f"mail._domainkey.example.com={missing}")

    (found,) = _bad(examine_templates(settings))

    assert (found.level, found.check) == (Level.FAIL, "letterhead")
    assert str(missing) in found.what


@pytest.mark.parametrize(
    ("takes", "level", "says"),
    [
        (None, "ok", "none"),
        (True, "ok", "mails-value"),
        (False, "fail", "not compatible"),
        (Unasked("nobody answers"), "fail", "nobody answers"),
    ],
)
def test_a_registry_must_take_the_schema(takes: Answer[bool] | None, level: str, says: str) -> None:
    """Where there is one."""
    fingerprints, registry = check_schemas(current_schema(), 10, "mails-value", takes)

    assert fingerprints.level is Level.OK
    assert registry.level == level
    assert says in registry.what


def test_a_schema_that_was_changed_is_told() -> None:
    """What others read is agreed by its fingerprint."""
    changed = replace(current_schema(), fingerprint=bytes(8))

    (found,) = _bad(check_schemas(changed, 10, "mails-value", None))

    assert found.level is Level.FAIL


def test_a_registry_is_asked(tmp_path: Path) -> None:
    """One that has nothing yet takes the schema; one that nobody runs is a failure."""
    empty = examine_schemas(
        _settings(tmp_path, schema_registry_url="http://ada:secret@127.0.0.1:1")
    )

    assert [one.level for one in empty] == [Level.OK, Level.FAIL]
    assert "does not answer" in empty[1].what
    assert "secret" not in str(empty)


@pytest.mark.parametrize(
    ("ahead", "one_sided", "level"),
    [
        (0, False, "ok"),
        (1_999, False, "ok"),
        (-2_001, False, "warn"),
        (5_000, True, "warn"),
        (-3_600_000, True, "ok"),
        (61_000, False, "fail"),
        (Unasked("nobody answers"), False, "unknown"),
    ],
)
def test_a_clock_that_is_apart_is_told(
    ahead: Answer[int | None], one_sided: bool, level: str
) -> None:
    """A record tells only of clocks that are ahead, a database of both."""
    (found,) = check_clocks([Compared("database", ahead, one_sided)])

    assert found.level == level
    assert level not in ("warn", "fail") or "time service" in found.mend


def test_without_another_clock_there_is_nothing_to_say() -> None:
    """Which is told."""
    (found,) = check_clocks([Compared("database", None)])

    assert found.level is Level.OK
    assert "no other clock" in found.what
