"""Documents say only what is there: settings, commands, targets, paths, links, generated parts."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.failures import ExitCode
from console.stack.catcher.script import RULES
from retry_topics import headers
from retry_topics.policy import DeadReason
from runtime.metric_catalogue import CATALOGUES, as_table
from runtime.setting_report import describe, explain
from runtime.setting_sources import CONFIG_NAME
from runtime.settings import FIELDS, env_name, load_settings
from tests.support.commands import NoCommand, find_command, unknown_options

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
OPERATIONS = ROOT / "docs" / "operations.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

MOST_README_LINES = 150
#: Shown as an example of a name that is refused.
REFUSED_SETTINGS = {"MAILCASCADE_TIER"}
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
ASSIGNED = re.compile(r"^([A-Z]+) *[:?]?=", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"\.?\w[\w.-]*(?:/[\w.-]+)+/?")
SETTING = re.compile(r"MAILCASCADE_[A-Z_]*[A-Z]")

every_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _spans(text: str) -> list[str]:
    return SPAN.findall(FENCE.sub("", text))


def _shell_lines(text: str) -> Iterator[str]:
    """What a reader would type: lines of sh blocks, prompted lines of console blocks, spans."""
    for language, block in FENCE.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if language == "sh":
            yield from lines
        elif language == "console":
            yield from (line[2:] for line in lines if line.startswith("$ "))
    yield from _spans(text)


def _calls(text: str, program: str) -> list[list[str]]:
    """The arguments of each call of a program in a document."""
    found = []
    for line in _shell_lines(text):
        for part in re.split(r"&&|\||;", line):
            if program not in part:
                continue
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                del words[0]
            if words and words[0] == program:
                found.append(words[1:])
    return found


@every_document
def test_every_setting_in_a_document_exists(path: Path) -> None:
    """By its name or as the `_FILE` variant."""
    known = {CONFIG_NAME, *map(env_name, FIELDS)}
    named = set(SETTING.findall(_text(path))) - REFUSED_SETTINGS

    assert {name for name in named if name.removesuffix("_FILE") not in known} - known == set()


@every_document
def test_every_command_in_a_document_exists(path: Path) -> None:
    """With the subcommands and options that it is shown with."""
    calls = [call for call in _calls(_text(path), "mailcascade") if call]

    assert [call for call in calls if unknown_options(call)] == []


@every_document
def test_every_make_target_in_a_document_exists(path: Path) -> None:
    """The Makefile has each target that a reader is told to make, and each variable to set."""
    makefile = _text(ROOT / "Makefile")
    words = {word for call in _calls(_text(path), "make") for word in call}
    named = {word for word in words if "=" not in word}

    assert named <= set(TARGET.findall(makefile))
    assert {word.partition("=")[0] for word in words - named} <= set(ASSIGNED.findall(makefile))


@every_document
def test_every_path_in_a_document_exists(path: Path) -> None:
    """Where it begins with a directory of this repository."""
    named = {span for span in _spans(_text(path)) if PATH.fullmatch(span)}
    ours = {span for span in named if (ROOT / span.split("/")[0]).is_dir()}

    assert {span for span in ours if not (ROOT / span).exists()} == set()


@every_document
def test_every_link_in_a_document_leads_somewhere(path: Path) -> None:
    """To a file that is there and, with an anchor, to one of its headings."""
    for link in LINK.findall(FENCE.sub("", _text(path))):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(_text(target)), link


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_every_header_and_metric_in_a_document_exists(path: Path) -> None:
    """Words that code elsewhere would be written against."""
    known_headers = {value for name, value in vars(headers).items() if name.isupper()}
    known_metrics = {metric.name for metrics in CATALOGUES.values() for metric in metrics}
    spans = _spans(_text(path))

    assert {span for span in spans if span.startswith("mc-")} <= known_headers
    assert {span for span in spans if span.startswith("mailcascade_")} <= known_metrics


def test_the_readme_is_short() -> None:
    """It is read to the end."""
    assert len(_text(README).splitlines()) <= MOST_README_LINES


def test_the_readme_s_defaults_are_the_settings() -> None:
    """Where its table shows a value, that is what is in force without any setting."""
    rows = re.findall(r"^\| `(MAILCASCADE_\w+)` \| `([^`]+)` \|", _text(README), re.MULTILINE)
    in_force = {row.name: row.value for row in describe(load_settings({"HOME": "/home/ada"}))}

    assert rows
    assert dict(rows).items() <= in_force.items()


def test_the_settings_are_documented_as_the_command_explains_them() -> None:
    """The reference is what `mailcascade settings --explain` prints."""
    explained = "\n\n".join(explain())

    assert f"```text\n{explained}\n```" in _text(CONFIGURATION)


@pytest.mark.parametrize("catalogue", CATALOGUES.values(), ids=CATALOGUES)
def test_the_metrics_are_documented_as_the_catalogue_has_them(catalogue: tuple[object]) -> None:
    """The table is generated by `runtime.metric_catalogue.as_table`."""
    assert as_table(catalogue) in _text(OPERATIONS)  # type: ignore[arg-type]  # see the parameters


def test_the_catcher_s_addresses_are_documented() -> None:
    """Each tag with what it does."""
    rows = [f"| `you+{rule.tag}@example.com` | {rule.meaning} |" for rule in RULES]

    assert "\n".join(rows) in _text(OPERATIONS)


def test_exit_codes_and_reasons_of_death_are_documented() -> None:
    """What a script or an operator meets is in the operations guide."""
    text = _text(OPERATIONS)

    assert [code for code in ExitCode if f"| {code.value} |" not in text] == []
    assert [reason for reason in DeadReason if f"`{reason}`" not in text] == []


def test_every_header_of_ours_is_documented() -> None:
    """The story that a record tells can be read with the architecture document beside it."""
    ours = {
        value
        for value in vars(headers).values()
        if isinstance(value, str) and value.startswith("mc-")
    }

    assert ours <= set(_spans(_text(ARCHITECTURE)))


def test_wrong_words_in_a_document_would_be_seen() -> None:
    """The checks above are able to fail."""
    for command in ("fly", "topics", "topics destroy"):
        with pytest.raises(NoCommand):
            find_command(command.split())
    assert unknown_options(["worker", "--processes=2", "--threads", "3"]) == {"--threads"}
    assert unknown_options(["up", "--api-port", "1", "--all"]) == {"--all"}
    assert _calls("Say `mailcascade up`, not `mail up`.", "mailcascade") == [["up"]]
    assert _calls("```sh\nA=1 mailcascade up  # all\n```\n", "mailcascade") == [["up"]]
    assert _calls("```console\n$ make demo\nmake it so\n```\n", "make") == [["demo"]]
