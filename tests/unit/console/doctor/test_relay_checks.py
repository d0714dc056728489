"""What the doctor says of relays that were visited."""

from typing import Any

import pytest

from console.doctor.finding import Level
from console.doctor.relay_checks import Visit, check_relays
from console.relay_check import Found
from consumers.delivery.endpoint import RelayEndpoint
from retry_topics.failure import Failure, FailureClass, Phase, Scope

NOW = 1_900_000_000.0
DAY = 86_400
OPEN = RelayEndpoint.parse("smtps://relay.example.com")
WITH_LOGIN = RelayEndpoint.parse("smtps://app:secret@relay.example.com")
OTHER = RelayEndpoint.parse("smtps://other.example.com?weight=0")
REFUSED = Failure(
    Scope.ENDPOINT, FailureClass.CONFIG, Phase.AUTH, "no such user", "x", 535, "5.7.8"
)


def _found(extensions: dict[str, str] | None = None, days: float = 90, **changes: Any) -> Found:
    ends = NOW + days * DAY + 3600
    return Found("hello", extensions or {}, changes.get("tls", "TLSv1.3"), ends)


def test_a_relay_that_can_be_used_is_well() -> None:
    """With its TLS, its certificate's end and its login, and without its password."""
    (found,) = check_relays([Visit(WITH_LOGIN, _found({"auth": "PLAIN", "size": "0"}))], NOW)

    assert found.level is Level.OK
    assert found.what == ("it can be used: TLSv1.3, certificate valid for 90 days, the login works")
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("relay", "found", "says"),
    [
        (OPEN, _found(days=13), "its certificate ends in 13 days"),
        (OPEN, _found({"auth": "PLAIN"}), "it offers AUTH and the URL has no user"),
        (OPEN, _found({"size": "5000"}), "up to 5,000 bytes only"),
    ],
)
def test_what_may_come_to_refusals_is_a_warning(
    relay: RelayEndpoint, found: Found, says: str
) -> None:
    """Mails go out, for now."""
    (warning,) = check_relays([Visit(relay, found)], NOW)

    assert warning.level is Level.WARN
    assert says in warning.what
    assert warning.mend


@pytest.mark.parametrize("days", [14, 15, 400])
def test_a_certificate_with_two_weeks_left_is_well(days: int) -> None:
    """The bound is the one of `relay check`."""
    (found,) = check_relays([Visit(OPEN, _found(days=days))], NOW)

    assert found.level is Level.OK


def test_a_relay_that_is_out_is_a_failure() -> None:
    """With the phase, the reply, and what to do about it."""
    (found,) = check_relays([Visit(WITH_LOGIN, REFUSED)], NOW)

    assert found.level is Level.FAIL
    assert found.what == "auth: 535 5.7.8 no such user"
    assert "MAILCASCADE_SMTP_URL" in found.mend


def test_one_of_several_relays_that_is_out_is_a_warning() -> None:
    """The others take its mails."""
    found = check_relays([Visit(WITH_LOGIN, REFUSED), Visit(OTHER, _found())], NOW)

    assert [one.level for one in found] == [Level.WARN, Level.OK]


def test_all_relays_out_are_failures() -> None:
    """One that did not answer in time is told like one that refused."""
    found = check_relays([Visit(WITH_LOGIN, REFUSED), Visit(OTHER, None)], NOW)

    assert [one.level for one in found] == [Level.FAIL, Level.FAIL]
    assert "did not answer within 15 s" in found[1].what
