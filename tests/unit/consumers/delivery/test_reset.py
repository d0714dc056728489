"""Instants in replies become the delay until they come."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.outcome import classify
from consumers.delivery.reply import Reply
from consumers.delivery.reset import heeding_resets, until_reset_ms
from retry_topics.failure import Phase
from schemas.instants import parse_instant

NOW = parse_instant("2026-11-27T22:30:00Z")
MINUTE = 60_000


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("Daily quota exceeded, try again after 2026-11-28T00:00:00Z", 90),
        ("limit reached until 2026-11-28 00:30 UTC", 120),
        ("resets at 2026-11-27T23:00:00.250+00:00", 30),
        ("Quota used up; come back after Sat, 28 Nov 2026 00:30:00 GMT", 120),
        ("Quota used up; come back on 28 Nov 2026 01:30:00 +0200", 60),
        ("Daily sending quota exceeded; it resets at midnight UTC", 90),
        ("quota exceeded, resets at 00:00 UTC", 90),
        ("your limit renews at 22:00 (UTC)", 23 * 60 + 30),
        # No instant for us: past, too far away, not one, of nobody's clock.
        ("blocked since 2026-11-27T20:00:00Z", None),
        ("try again after 2026-11-27T20:00:00Z", None),
        ("try again after 2031-01-01T00:00:00Z", None),
        ("try again after 2026-13-45T99:00:00Z", None),
        ("try again after midnight", None),
        ("resets at 25:99 UTC", None),
        ("message 2026-11-28T00:00:00Z rejected", None),
        ("try again later", None),
    ],
)
def test_an_instant_counts_where_it_is_one_to_wait_for(text: str, minutes: int | None) -> None:
    """In the next seven days, with a zone, behind words that make it a time to try again."""
    assert until_reset_ms(text, NOW) == (None if minutes is None else minutes * MINUTE)


@given(st.text(max_size=80), st.integers(0, 4_000_000_000_000))
def test_any_text_has_an_answer(text: str, now: int) -> None:
    """Whatever a relay says, between now and seven days, or nothing."""
    delay = until_reset_ms(f"try again after {text}", now)
    assert delay is None or 0 < delay <= 7 * 86_400_000


def test_a_quota_waits_for_its_reset_and_a_refusal_does_not() -> None:
    """A delay in words of its own is left as it is."""
    heed = heeding_resets(classify, lambda: NOW)
    quota = Reply.parse("550 5.4.5 Daily sending quota exceeded, resets at midnight UTC")
    assert heed(quota, Phase.RCPT) == replace(
        classify(quota, Phase.RCPT), retry_after_ms=90 * MINUTE
    )
    unknown = Reply.parse("550 5.1.1 User unknown, asked at midnight UTC")
    assert heed(unknown, Phase.RCPT) == classify(unknown, Phase.RCPT)
    soon = Reply.parse("451 4.7.1 Greylisted, try again in 5 minutes, at midnight UTC")
    assert heed(soon, Phase.RCPT).retry_after_ms == 5 * MINUTE
