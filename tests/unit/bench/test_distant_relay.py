"""The relay that is far away: when it answers, and what."""

import pytest

from bench.distant_relay import (
    ACCEPTANCE_SECONDS,
    ROUND_TRIP_SECONDS,
    DistantSession,
    mails_per_second,
)


def test_arithmetic_allows_a_round_trip_and_an_acceptance_for_each_mail() -> None:
    """64 connections / (20 ms + 30 ms) = 1,280 mails/s."""
    assert mails_per_second(64) == pytest.approx(1280)


class Later:
    """Takes note of what is to be written, and after how long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, session: DistantSession) -> None:
        self.said: list[tuple[bytes, float]] = []
        monkeypatch.setattr(session, "_reply", lambda words, at: self.said.append((words, at)))


async def test_commands_are_answered_together_and_a_mail_once_it_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One round trip for an envelope, another and the acceptance for a mail and what follows."""
    session = DistantSession()
    later = Later(monkeypatch, session)

    session.data_received(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
    session.data_received(b"Subject: x\r\n\r\nMAIL is no command here\r\n")
    session.data_received(b".\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<d@d.example>\r\nDATA\r\n")
    session.data_received(b"Subject: y\r\n\r\n.\r\n")
    session.data_received(b"QUIT\r\n")

    envelope, mail_and_next, last, farewell = later.said
    accepted, asked_for = b"250 2.0.0 OK\r\n", b"250 2.0.0 OK\r\n" * 2 + b"354 Go on\r\n"
    assert envelope == (asked_for, ROUND_TRIP_SECONDS)
    assert mail_and_next == (accepted + asked_for, ROUND_TRIP_SECONDS + ACCEPTANCE_SECONDS)
    assert last == (accepted, ROUND_TRIP_SECONDS + ACCEPTANCE_SECONDS)
    assert farewell[0].startswith(b"221 ")
