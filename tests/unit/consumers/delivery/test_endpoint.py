"""Relay URLs are read strictly, and never show the password."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.endpoint import (
    Credentials,
    InvalidRelayUrl,
    RelayEndpoint,
    Security,
    parse_relays,
)
from consumers.delivery.timeouts import Timeouts
from consumers.delivery.tokens import TokenCommand, TokenFile


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://127.0.0.1:1025", RelayEndpoint("127.0.0.1", 1025, Security.CLEAR)),
        ("smtp://localhost", RelayEndpoint("localhost", 25, Security.CLEAR)),
        ("smtp://[::1]:25/", RelayEndpoint("::1", 25, Security.CLEAR)),
        ("smtps://mx.example.com", RelayEndpoint("mx.example.com", 465, Security.TLS)),
        (
            "smtp+starttls://mx.example.com",
            RelayEndpoint("mx.example.com", 587, Security.STARTTLS),
        ),
        (
            "smtps://user%40example.com:p%40ss%2F@mx.example.com:2465?ca=/etc/ca.pem&helo=app.example",
            RelayEndpoint(
                "mx.example.com",
                2465,
                Security.TLS,
                Credentials("user@example.com", "p@ss/"),
                "app.example",
                Path("/etc/ca.pem"),
            ),
        ),
        (
            "smtps://mx.example.com?profile=ses",
            RelayEndpoint("mx.example.com", 465, Security.TLS, profile="ses"),
        ),
        (
            "smtps://a%40b@mx.example.com?token-file=/run/token",
            RelayEndpoint(
                "mx.example.com",
                465,
                Security.TLS,
                Credentials("a@b", token=TokenFile(Path("/run/token"))),
            ),
        ),
        (
            "smtps://a@mx.example.com?password-file=/run/password",
            RelayEndpoint(
                "mx.example.com",
                465,
                Security.TLS,
                Credentials("a", password_file=Path("/run/password")),
            ),
        ),
        (
            "smtps://a@mx.example.com?token-command=get%20--for%20%27a%20b%27",
            RelayEndpoint(
                "mx.example.com",
                465,
                Security.TLS,
                Credentials("a", token=TokenCommand(("get", "--for", "a b"))),
            ),
        ),
        (
            "smtps://mx.example.com?weight=3&rate=14/s",
            RelayEndpoint("mx.example.com", 465, Security.TLS, weight=3, rate=14.0),
        ),
        (
            "smtps://mx.example.com?weight=0&rate=90/m",
            RelayEndpoint("mx.example.com", 465, Security.TLS, weight=0, rate=1.5),
        ),
        (
            "smtps://mx.example.com?connect-timeout=500ms&reply-timeout=30s&end-timeout=5m",
            RelayEndpoint("mx.example.com", 465, Security.TLS, timeouts=Timeouts(0.5, 30.0, 300.0)),
        ),
        (
            "smtps://bücher.example",
            RelayEndpoint("xn--bcher-kva.example", 465, Security.TLS),
        ),
    ],
)
def test_a_url_is_read(url: str, expected: RelayEndpoint) -> None:
    """Scheme, host, port, credentials and parameters each go where they belong."""
    assert RelayEndpoint.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "scheme"),
        ("mx.example.com", "scheme"),
        ("http://mx.example.com", "scheme"),
        ("smtp://", "no host"),
        ("smtp://mx.example.com", "clear text"),
        ("smtp://192.0.2.1", "clear text"),
        ("smtp://localhost.example.com", "clear text"),
        ("smtps://mx.example.com:0", "port 0"),
        ("smtps://mx.example.com:99999", "malformed"),
        ("smtps://mx.example.com:port", "malformed"),
        ("smtps://[::1", "malformed"),
        ("smtps://mx.example.com/path", "no path"),
        ("smtps://mx.example.com#x", "fragment"),
        ("smtps://user@mx.example.com", "a user name and a password"),
        ("smtps://u:p%00@mx.example.com", "NUL"),
        ("smtps://mx.example.com?tls=no", "unknown parameter"),
        ("smtps://mx.example.com?ca=", "empty"),
        ("smtps://mx.example.com?helo=a%20b", "helo"),
        ("smtps://mx.example.com?helo=a%0D%0AMAIL", "helo"),
        ("smtps://u:p%01@mx.example.com", "SOH"),
        ("smtps://mx.example.com?token-file=/t", "needs a user name"),
        ("smtps://u:p@mx.example.com?token-file=/t", "not two"),
        ("smtps://mx.example.com?password-file=/p", "needs a user name"),
        ("smtps://u:p@mx.example.com?password-file=/p", "not two"),
        ("smtps://u@mx.example.com?password-file=/p&token-file=/t", "not two"),
        ("smtps://u@mx.example.com?token-file=/t&token-command=c", "not from both"),
        ("smtps://u@mx.example.com?token-command=%27", "no command"),
        ("smtps://u@mx.example.com?token-command=%20", "no command"),
        ("smtps://mx.example.com?weight=-1", "weight"),
        ("smtps://mx.example.com?weight=1.5", "weight"),
        ("smtps://mx.example.com?rate=14", "rate"),
        ("smtps://mx.example.com?rate=0/s", "rate"),
        ("smtps://mx.example.com?rate=14/d", "rate"),
        ("smtps://mx.example.com?reply-timeout=60", "timeout"),
        ("smtps://mx.example.com?end-timeout=0s", "timeout"),
        ("smtps://mx.exa mple.com", "spaces"),
        ("smtps://mx.example.com\r\n", "control characters"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, reason: str) -> None:
    """Nothing is guessed, and clear text stays on this machine."""
    with pytest.raises(InvalidRelayUrl, match=reason):
        RelayEndpoint.parse(url)


def test_several_relays_are_read() -> None:
    """Separated by blanks, in their order."""
    first, second = parse_relays(" smtps://mx.example.com  smtps://mx.example.org?weight=0 ")

    assert (first.host, first.weight) == ("mx.example.com", 1)
    assert (second.host, second.weight) == ("mx.example.org", 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" ", "no relay"),
        ("smtps://a.example smtps://a.example:465?weight=2", "twice"),
        ("smtps://a.example?weight=0", "weight above 0"),
        ("smtps://a.example http://b.example", "scheme"),
    ],
)
def test_relays_that_make_no_sense_together_are_refused(text: str, reason: str) -> None:
    """One of them has to take the mails, and each is another."""
    with pytest.raises(InvalidRelayUrl, match=reason):
        parse_relays(text)


def test_the_password_is_never_shown() -> None:
    """Neither as text nor as representation."""
    endpoint = RelayEndpoint.parse("smtps://user:hunter2@mx.example.com")

    assert "hunter2" not in f"{endpoint} {endpoint!r} {endpoint.credentials!r}"
    assert str(endpoint) == "smtps://mx.example.com:465"


@given(st.text(alphabet="hunter2:@/?#[]%&=.smtp+ \u212a", max_size=40))
def test_an_error_never_holds_the_password(noise: str) -> None:
    """However a URL is mangled, its message is safe to print."""
    try:
        RelayEndpoint.parse(f"smtps://user:SECRETWORD{noise}@mx.example.com:bad")
    except InvalidRelayUrl as error:
        assert "SECRETWORD" not in str(error)  # noqa: PT017 - parsing may as well succeed
