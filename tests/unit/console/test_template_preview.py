"""`mailcascade template preview` shows a template's mail as its recipient would get it."""

import subprocess
import sys
from pathlib import Path

import pytest

from console.failures import CommandFailed
from console.template_preview import Preview, PreviewRequest, values_of
from runtime.settings import load_settings

URL = "https://app.example.com/confirm?token=1&x=2"
PREVIEW = [sys.executable, "-m", "console", "template", "preview", "signup-confirmation"]
NOW = 1_800_000_000_000


def _preview(locale: str, name: str = "signup-confirmation", **values: str) -> Preview:
    settings = load_settings({"HOME": "/nowhere", "MAILCASCADE_MAIL_FROM": "Äpp <app@example.com>"})
    return Preview.of(PreviewRequest(name, locale, values), settings, NOW)


def test_headers_and_text_are_shown_as_a_reader_sees_them() -> None:
    """Decoded, in the wanted locale, from the configured sender."""
    said: list[str] = []

    _preview("zh-CN", confirm_url=URL).show(said.append)

    assert said[0] == "[signup-confirmation, written in zh-CN]"
    assert said[1] == "Return-Path: <app@example.com>"
    assert "From: Äpp <app@example.com>" in said
    assert "Subject: 请确认您的电子邮箱" in said
    assert "Date: Fri, 15 Jan 2027 08:00:00 +0000" in said
    assert URL in said[-1]


def test_what_the_settings_add_is_shown_and_no_key_is_needed() -> None:
    """Where bounces go and the provider's header; signing is left out."""
    environ = {
        "HOME": "/nowhere",
        "MAILCASCADE_RETURN_PATH": "b+{id}@example.com",
        "MAILCASCADE_IDEMPOTENCY_HEADER": "Resend-Idempotency-Key",
        "MAILCASCADE_DKIM_KEYS": "s1._domainkey.example.com=/nowhere/key.pem",
    }
    said: list[str] = []

    request = PreviewRequest("signup-confirmation", "en", {"confirm_url": URL})
    Preview.of(request, load_settings(environ), NOW).show(said.append)

    assert said[1].startswith("Return-Path: <b+aaaaaaaa")
    assert any(line.startswith("Resend-Idempotency-Key: ") for line in said)
    assert not any(line.startswith("DKIM-Signature") for line in said)


def test_the_html_is_what_the_mail_has() -> None:
    """With its values escaped."""
    shown = _preview("de-AT", confirm_url=URL)

    assert shown.locale == "de"
    assert "token=1&amp;x=2" in shown.html


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("pigeon", {}, "there is no template 'pigeon'; the templates are"),
        ("signup-confirmation", {}, "data.confirm_url: is required"),
        ("signup-confirmation", {"confirm_url": URL, "x": "y"}, "data.x: is not a variable"),
        ("signup-confirmation", {"confirm_url": "nonsense"}, "data.confirm_url"),
    ],
)
def test_what_cannot_be_shown_is_explained(name: str, values: dict[str, str], problem: str) -> None:
    """As the API would: the field and what is wrong with it."""
    with pytest.raises(CommandFailed, match=problem):
        _preview("en", name, **values)


def test_values_are_read_as_pairs() -> None:
    """The first equals sign ends the name; a variable has one value."""
    assert values_of(["url=https://e.example/?a=b", "name="]) == {
        "url": "https://e.example/?a=b",
        "name": "",
    }
    for pairs in (["nonsense"], ["=x"], ["a=1", "a=2"]):
        with pytest.raises(CommandFailed, match="--data"):
            values_of(pairs)


@pytest.mark.parametrize("named", [True, False])
def test_the_html_goes_to_a_file(tmp_path: Path, named: bool) -> None:
    """Whose address a browser opens; without a name it is the template's and the locale's."""
    output = ["--output", "mail.html"] if named else []
    done = subprocess.run(
        [*PREVIEW, "--locale", "zh-CN", "--data", f"confirm_url={URL}", "--html", *output],
        env={"HOME": "/nowhere", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd())},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    path = tmp_path / ("mail.html" if named else "signup-confirmation.zh-CN.html")
    assert done.stdout.strip() == path.as_uri()
    assert "token=1&amp;x=2" in path.read_text(encoding="utf-8")
