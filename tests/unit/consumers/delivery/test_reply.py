"""Replies are read strictly: codes, enhanced codes that agree, one printable bounded line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.reply import Reply


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("250 Ok", Reply(250, None, "Ok")),
        ("550 5.1.1 no such user", Reply(550, "5.1.1", "no such user")),
        ("550-5.1.1 one\n550-5.1.1 two\n550 5.1.1 three", Reply(550, "5.1.1", "one two three")),
        ("535-5.7.8 first\n535 5.7.8 second", Reply(535, "5.7.8", "first second")),
        ("421-one\r\n421 two", Reply(421, None, "one two")),
        ("550 sorry, no mailbox (#5.1.1)", Reply(550, "5.1.1", "sorry, no mailbox (#5.1.1)")),
        ("550 #5.7.1 rejected", Reply(550, "5.7.1", "rejected")),
        # A code that contradicts the reply's own is text, no more.
        ("450 5.1.1 odd", Reply(450, None, "5.1.1 odd")),
        ("550 4.7.1 odd", Reply(550, None, "4.7.1 odd")),
        # An address that looks like a code is none.
        ("554 5.6.7.8 is blocked", Reply(554, None, "5.6.7.8 is blocked")),
        ("550", Reply(550, None, "")),
    ],
)
def test_a_reply_is_read(raw: str, expected: Reply) -> None:
    """Lines are joined, codes taken off them, and an enhanced code believed if it agrees."""
    assert Reply.parse(raw) == expected


@pytest.mark.parametrize("raw", ["", "hello", "55 short", "5501 long"])
def test_what_has_no_code_is_no_reply(raw: str) -> None:
    """A text without three leading digits is refused."""
    with pytest.raises(ValueError, match="three digits"):
        Reply.parse(raw)


@given(code=st.integers(200, 599), lines=st.lists(st.text(max_size=300), max_size=10))
def test_text_is_printable_and_bounded(code: int, lines: list[str]) -> None:
    """Whatever a relay sends can go into a header, a log line and UTF-8."""
    reply = Reply.of(code, "\n".join(lines))

    assert len(reply.text) <= 500
    assert not any(character in reply.text for character in "\r\n\0\x1b\x7f\u2028")
    reply.text.encode()
    assert str(reply).startswith(str(code))


def test_bytes_that_are_no_text_become_a_sign() -> None:
    """A relay that answers in Latin-1 is still readable."""
    message = b"Empf\xe4nger unbekannt".decode("utf-8", "surrogateescape")

    assert Reply.of(550, message).text == "Empf\N{REPLACEMENT CHARACTER}nger unbekannt"
