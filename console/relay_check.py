"""`mailcascade relay check`: connects to the relays as a worker does, and tells what it found.

No mail is handed over: the session ends after the login.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from console.failures import ExitCode
from console.relay_advice import advice_for
from consumers.delivery.connection import Connection, SessionFailed
from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.figures import Stopwatch
from consumers.delivery.outcome import Classifier
from consumers.delivery.session import SessionOpener
from consumers.delivery.timeouts import Timeouts
from retry_topics.failure import Failure
from runtime.clock import Clock

Print = Callable[[str], None]

#: A person waits, so the relay gets less time than a worker gives it, unless its URL says how much.
_TIMEOUTS: Final = Timeouts(connect=10.0, command=20.0)
_LEAVE_SECONDS: Final = 2.0
_DAY_SECONDS: Final = 86_400
#: So long before its end a certificate is worth a word.
WORRY_DAYS: Final = 14
#: A relay that takes no larger mails may refuse some.
LEAST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """What a session with a relay had. `tls` and `expires_at` are None in clear text."""

    banner: str
    extensions: dict[str, str]
    tls: str | None = None
    expires_at: float | None = None

    def days_left(self, now: float) -> int | None:
        """Return for how many more days the certificate is valid, None without one."""
        return None if self.expires_at is None else int((self.expires_at - now) // _DAY_SECONDS)

    @property
    def largest(self) -> int:
        """The bytes of the largest mail that it takes, 0 where it does not say."""
        size = self.extensions.get("size", "")
        return int(size) if size.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class Usage:
    """How workers would use the relays: which words they know, and how many connections."""

    classifier: Classifier
    connections: int
    clock: Clock


async def check_relays(relays: Sequence[RelayEndpoint], usage: Usage, show: Print) -> int:
    """Check each relay and return the exit code: 1 if one of them cannot be used."""
    code = ExitCode.OK
    for relay in relays:
        show(f"{relay}")
        found = await visit(relay, usage)
        if isinstance(found, Failure):
            code = ExitCode.FAILED
            lines = failure_lines(found, relay)
        else:
            lines = found_lines(found, relay, usage)
        for line in lines:
            show(line)
    return code


async def visit(
    relay: RelayEndpoint, usage: Usage, timeouts: Timeouts = _TIMEOUTS
) -> Found | Failure:
    """Connect as a worker does, log in and leave; return what there was, or what went wrong.

    `timeouts` are for what the relay's URL leaves open.
    """
    classify = usage.classifier.of_relay(relay.host, relay.profile)
    opener = SessionOpener(relay, _patience(relay, timeouts), classify, Stopwatch(usage.clock))
    try:
        connection = await opener.open()
    except SessionFailed as failed:
        return failed.failure
    found = _look_at(connection)
    connection.quit()
    await connection.wait_closed(_LEAVE_SECONDS)
    return found


def _patience(relay: RelayEndpoint, ours: Timeouts) -> Timeouts:
    """Return how long to wait for a relay: as its URL says, else as we do."""
    theirs, usual = relay.timeouts, Timeouts()
    return Timeouts(
        ours.connect if theirs.connect == usual.connect else theirs.connect,
        ours.command if theirs.command == usual.command else theirs.command,
    )


def _look_at(connection: Connection) -> Found:
    tls = connection.wire.transport.get_extra_info("ssl_object")
    if tls is None:
        return Found(connection.banner, connection.extensions)
    cipher = tls.cipher()
    version = f"{tls.version()} with {cipher[0]}" if cipher else str(tls.version())
    ends = (tls.getpeercert() or {}).get("notAfter")
    expires_at = None if ends is None else float(ssl.cert_time_to_seconds(ends))
    return Found(connection.banner, connection.extensions, version, expires_at)


def failure_lines(failure: Failure, relay: RelayEndpoint) -> list[str]:
    """Return what went wrong, in which phase, and what to do about it."""
    said = " ".join(
        str(part) for part in (failure.code, failure.enhanced, failure.text) if part is not None
    )
    return _rows(
        ("FAILED", f"{failure.phase}: {said}"),
        ("rule", f"{failure.rule} ({failure.kind})"),
        ("to do", advice_for(failure, relay)),
    )


def found_lines(found: Found, relay: RelayEndpoint, usage: Usage) -> list[str]:
    """Return what a relay offers and how it would be used."""
    return _rows(
        ("banner", found.banner or "(no words)"),
        ("offers", _offers(found.extensions)),
        ("TLS", _tls(found, usage.clock.now_ms() / 1000)),
        ("login", _login(found, relay)),
        ("mails", _mails(found)),
        ("use", _use(found, relay, usage)),
        ("words", _words(relay, usage)),
        ("OK", "it can be used"),
    )


def _rows(*rows: tuple[str, str]) -> list[str]:
    return [f"  {name:<7} {text}" for name, text in rows]


def _offers(extensions: dict[str, str]) -> str:
    offered = (f"{name.upper()} {value}".strip() for name, value in sorted(extensions.items()))
    text = ", ".join(offered) or "nothing (it knows HELO only)"
    return "".join(character if character.isprintable() else "?" for character in text)


def _tls(found: Found, now: float) -> str:
    if found.tls is None:
        return "none: clear text, on this machine only"
    days = found.days_left(now)
    if days is None:
        return found.tls
    warning = "; RENEW IT SOON" if days < WORRY_DAYS else ""
    return f"{found.tls}; its certificate is valid for {days} more days{warning}"


def _login(found: Found, relay: RelayEndpoint) -> str:
    if relay.credentials is not None:
        way = "a token" if relay.credentials.token is not None else "a password"
        return f"as {relay.credentials.username} by {way}: works"
    if "auth" in found.extensions:
        return "none: the URL has no user, though the relay offers AUTH; it may refuse mail"
    return "none, and none is offered"


def _mails(found: Found) -> str:
    limit = found.largest
    text = f"up to {limit:,} bytes" if limit else "of any size, as far as it says"
    if 0 < limit < LEAST_BYTES:
        text += " (LITTLE: larger ones are refused before they are sent)"
    local = "also" if "smtputf8" in found.extensions else "not"
    return f"{text}; {local} to addresses whose local part is not ASCII"


def _use(found: Found, relay: RelayEndpoint, usage: Usage) -> str:
    piped = "pipelining" in found.extensions
    way = "MAIL, RCPT and DATA in one write" if piped else "one command after the other"
    rate = f", at most {relay.rate:g} mails/s over all workers" if relay.rate else ""
    share = "" if relay.weight else ", only while the others are out (weight 0)"
    return f"{way}; up to {usage.connections} connections a worker{rate}{share}"


def _words(relay: RelayEndpoint, usage: Usage) -> str:
    profile = usage.classifier.profile_of(relay.host, relay.profile)
    if profile is None:
        return "read by the general rules; ?profile=NAME in the URL names a provider"
    return f"read by the profile {profile}"


def run_check(relays: Sequence[RelayEndpoint], usage: Usage, show: Print) -> int:
    """Do as `check_relays` does, on an event loop of its own."""
    return asyncio.run(check_relays(relays, usage, show))
