"""The relay that is far away: when it answers, and what."""

import pytest

from bench.distant_relay import (
    ACCEPTANCE_SECONDS,
    ROUND_TRIP_SECONDS,
    DistantSession,
    mails_per_second,
)


def test_arithmetic_allows_two_round_trips_and_an_acceptance_for_each_mail() -> None:
    """64 connections / (2 * 20 ms + 30 ms) = 914.3 mails/s."""
    assert mails_per_second(64) == pytest.approx(914.3, abs=0.05)


class Later:
    """Takes note of what is to be written, and after how long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, session: DistantSession) -> None:
        self.said: list[tuple[bytes, float]] = []
        monkeypatch.setattr(session, "_reply", lambda words, at: self.said.append((words, at)))


async def test_commands_are_answered_together_and_a_mail_once_it_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One round trip for the envelope, another and the acceptance for the data."""
    session = DistantSession()
    later = Later(monkeypatch, session)

    session.data_received(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
    session.data_received(b"Subject: x\r\n\r\nMAIL is no command here\r\n")
    session.data_received(b".\r\n")
    session.data_received(b"QUIT\r\n")

    envelope, mail, farewell = later.said
    assert envelope == (b"250 2.0.0 OK\r\n" * 2 + b"354 Go on\r\n", ROUND_TRIP_SECONDS)
    assert mail == (b"250 2.0.0 OK\r\n", ROUND_TRIP_SECONDS + ACCEPTANCE_SECONDS)
    assert farewell[0].startswith(b"221 ")
