"""Values of template variables: what a text and a link may be."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.variables import Kind, Variable, text_problem, url_problem

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)]


def link_problem(value: str) -> str | None:
    return url_problem(value, allow_loopback_http=True)


@pytest.mark.parametrize(
    "text", ["Ada", "O'Brien <3", "埃达", "Ünal", "a" * 500, "👩🏽‍🚀", "مرحبا"]
)
def test_any_printable_text_is_fine(text: str) -> None:
    """Names of all scripts pass."""
    assert text_problem(text, multiline=False) is None


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_line_holds_no_control_character(control: str) -> None:
    """A text of one line can break neither a header nor a protocol."""
    message = text_problem(f"a{control}b", multiline=False)

    assert message is not None
    assert f"U+{ord(control):04X}" in message


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_lines_hold_line_breaks_and_tabs_only(control: str) -> None:
    """A text of several lines holds LF, CRLF and tabs; no other control character, no lone CR."""
    assert (text_problem(f"a{control}b", multiline=True) is None) == (control in "\n\t")
    assert text_problem("a\r\nb", multiline=True) is None


def test_every_character_is_fine_but_controls_and_surrogates() -> None:
    """Whichever way the check takes for it."""
    unfit = {chr(code) for code in range(0xD800, 0xE000)} | set(CONTROLS)
    refused = {chr(code) for code in range(0x110000) if text_problem(chr(code), multiline=False)}

    assert refused == unfit


def test_a_lone_surrogate_is_refused() -> None:
    """What cannot be written as UTF-8 never reaches the codec."""
    assert text_problem("\ud800", multiline=True) == "holds the control character U+D800"
    assert link_problem("https://example.com/\udfff") is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/confirm?token=a.b-c_d~e&next=/x#top",
        "HTTPS://Example.COM:8443/",
        "https://例え.jp/確認",
        "https://192.0.2.7/",
        "https://[2001:db8::1]:8443/x",
        "https://my_shop.example.com/",
        "http://localhost:3000/confirm",
        "http://LOCALHOST",
        "http://127.0.0.1/confirm",
        "http://127.8.9.10:1/",
        "http://[::1]:8080/",
        "https://example.com/?mail=ada@example.com",
    ],
)
def test_an_absolute_https_link_is_fine(url: str) -> None:
    """https to any host, http to this machine."""
    assert link_problem(url) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "absolute URL"),
        ("example.com/confirm", "absolute URL"),
        ("/confirm", "absolute URL"),
        ("//example.com/confirm", "absolute URL"),
        ("https:example.com", "absolute URL"),
        ("https:///confirm", "valid host"),
        ("https://:443/", "valid host"),
        ("javascript:alert(1)", "absolute URL"),
        ("javascript://example.com/%0aalert(1)", "not javascript"),
        ("ftp://example.com/", "not ftp"),
        ("data://text/html,x", "not data"),
        ("http://example.com/", "loopback hosts only"),
        ("http://localhost.example.com/", "loopback hosts only"),
        ("http://127.0.0.1.example.com/", "loopback hosts only"),
        ("http://128.0.0.1/", "loopback hosts only"),
        ("http://127.1/", "loopback hosts only"),
        ("http://[::2]/", "loopback hosts only"),
        ("https://user@example.com/", "user name or password"),
        ("https://user:secret@example.com/", "user name or password"),
        ("http://localhost@example.com/", "user name or password"),
        ("https://example.com\\@evil.example/", "U+005C"),
        ("https://example.com/a b", "U+0020"),
        ("https://example.com/\r\nBcc: x", "U+000D"),
        ("https://example.com/\x00", "U+0000"),
        ("https://example.com/\u202egpj.exe", "U+202E"),
        ("https://exam\u00adple.com/", "U+00AD"),
        ('https://example.com/"onclick="x', "U+0022"),
        ("https://example.com/<b>", "U+003C"),
        ("https://exa%6dple.com/", "valid host"),
        ("https://-example.com/", "valid host"),
        ("https://example..com/", "valid host"),
        ("https://" + "a" * 64 + ".com/", "valid host"),
        ("https://" + "a." * 130 + "com/", "valid host"),
        ("https://[::1/", "valid host"),
        ("https://[fe80::1%eth0]/", "valid host"),
        ("https://[1.2.3.4]/", "valid host"),
        ("https://例え..jp/", "valid host"),
        ("https://example.com:99999/", "port 99999"),
        ("https://example.com:port/", "valid host"),
    ],
)
def test_any_other_link_is_refused_with_the_reason(url: str, why: str) -> None:
    """Links that mislead, run code or are not encrypted never reach a mail."""
    message = link_problem(url)

    assert message is not None
    assert why in message


authorities = st.text("aZ0.-_:@[]ü%", max_size=12) | st.just("a" * 250 + ".com")
rests = st.text('/?#a0:@[]<>"\\^`{|}~ \tü\u202e\x7f', max_size=8)


@given(authorities, rests)
@example("a" * 63 + "." + "b" * 64, "")
@example("example.com", "?" + "".join(map(chr, range(0x80))))
def test_common_links_get_the_answer_of_all_others(authority: str, rest: str) -> None:
    """A scheme in capitals keeps a link off the short way, and means the same."""
    link = f"://{authority}{rest}"

    assert link_problem(f"https{link}") == link_problem(f"HTTPS{link}")


def test_http_can_be_refused_for_every_host() -> None:
    """A deployment may insist on https for this machine as well."""
    message = url_problem("http://localhost/", allow_loopback_http=False)

    assert message == "must be an https URL"


@given(st.text(max_size=60), st.sampled_from(["", "https://", "http://", "https://["]))
def test_no_text_makes_the_check_fail(text: str, start: str) -> None:
    """The check of a link answers for every text, and whatever passes is one printable word."""
    message = link_problem(start + text)

    assert message or (start + text).split() == [start + text]


def test_a_value_longer_than_declared_is_refused() -> None:
    """The message tells both lengths."""
    variable = Variable("name", Kind.TEXT, 5, True, "A name.")

    assert variable.problem("abcde") is None
    assert variable.problem("abcdef") == "is 6 characters long; at most 5 are allowed"


@pytest.mark.parametrize("kind", Kind)
def test_only_an_optional_value_may_be_empty(kind: Kind) -> None:
    """Empty and left out are the same thing."""
    assert Variable("x", kind, 5, False, "X.").problem("") is None
    assert Variable("x", kind, 5, True, "X.").problem("") == "must not be empty"
