"""Delays that relays name in words are found, and other numbers are left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.delay import requested_delay_ms


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Greylisted for 300 seconds (see http://example.com/help)", 300),
        ("Greylisted, please try again in 5 minutes", 300),
        ("try again in 5 minutes/ later", 300),
        ("Greylisting in action, please come back in 00:04:59", 299),
        ("Greylisted, try again in 04:59", 299),
        ("Try again after 60s", 60),
        ("please retry in 10 mins", 600),
        ("please try again in an hour", 3600),
        ("You must wait 298 seconds before trying again", 298),
        ("retry in 1 hour and 30 minutes", 5400),
        ("temporarily blocked for 2 hours", 7200),
        ("try again in [3] minutes", 180),
        ("Retry-After: 120", 120),
        ("deferred, resend in two hours", 7200),
        ("try again in 30 days", 7 * 86_400),
    ],
)
def test_a_named_delay_is_found(text: str, seconds: int) -> None:
    """Numbers, words, clocks and units, at most seven days."""
    assert requested_delay_ms(text) == seconds * 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "try again later",
        "try again in a few minutes",
        "limit of 100 messages per 1 hour exceeded",
        "quota of 2000 mails in 24 hours",
        "Timeout after 300 seconds",
        "try again, error 5 in module 3",
        "try again from 192.0.2.1",
        "try again in 0 seconds",
        "see https://example.com/mail/answer/300s",
    ],
)
def test_other_numbers_are_no_delay(text: str) -> None:
    """A number is a delay only where the text says so."""
    assert requested_delay_ms(text) is None


@given(st.text(max_size=500))
def test_any_text_gives_nothing_or_a_sane_delay(text: str) -> None:
    """A delay is above zero and at most seven days."""
    delay = requested_delay_ms(text)

    assert delay is None or 0 < delay <= 7 * 86_400_000
