"""URLs with places for values: which are accepted, and that a value never leaves its place."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.url_patterns import InvalidPattern, UrlPattern
from schemas.variables import Kind, Variable, url_problem

VARIABLES = {
    "token": Variable("token", Kind.TEXT, 100, True, "x"),
    "note": Variable("note", Kind.TEXT, 100, False, "x"),
    "leave": Variable("leave", Kind.URL, 100, True, "x"),
}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "absolute"),
        ("http://example.com/{id}", "https"),
        ("https://{tenant}.example.com/", "host"),
        ("https://example.com/{Id}", "braces"),
        ("https://example.com/}", "braces"),
        ("https://bücher.example/{id}", "A-labels"),
        ("https://example.com/ {id}", r"U\+0020"),
        ("mailto:leave@example.com", "absolute"),
    ],
)
def test_a_wrong_pattern_is_refused(text: str, problem: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(InvalidPattern, match=problem):
        UrlPattern.parse(text)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("https://example.com/{id}?t={token}&m={template}", []),
        ("{leave}", []),
        ("https://example.com/{note}", ["{note} must be a required variable"]),
        ("https://example.com/{x}", ["{x} is no variable, nor {id} or {template}"]),
        ("{token}", ["{token} alone must be a variable of kind url"]),
        ("{id}", ["{id} alone must be a variable of kind url"]),
    ],
)
def test_a_pattern_fits_a_template_or_not(text: str, problems: list[str]) -> None:
    """Every mail must have a value for every place."""
    assert UrlPattern.parse(text).problems(VARIABLES) == problems


@given(st.text(st.characters(codec="utf-8")))
def test_a_value_stays_in_its_place(value: str) -> None:
    """Whatever it holds, the host and the rest of the URL are the pattern's."""
    url = UrlPattern.parse("https://example.com/u?t={token}&x=1").fill({"token": value})

    parts = urlsplit(url)
    assert url.isascii()
    assert url_problem(url, allow_loopback_http=False) is None
    assert (parts.netloc, parts.path, parts.fragment) == ("example.com", "/u", "")
    first, second = parts.query.split("&")
    assert unquote(first) == f"t={value}"
    assert second == "x=1"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://example.com/u?a=%3C&b=1#x", "https://example.com/u?a=%3C&b=1#x"),
        ("https://bücher.example:8443/ß?x=ü", "https://xn--bcher-kva.example:8443/%C3%9F?x=%C3%BC"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_a_whole_url_is_written_in_ascii(url: str, written: str) -> None:
    """It is the application's own; what a header cannot hold is encoded."""
    assert UrlPattern.parse("{leave}").fill({"leave": url}) == written
