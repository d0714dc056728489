"""The relays: whether each can be reached and used, and for how long its certificate lasts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console.doctor.finding import Finding, Findings, Part
from console.relay_advice import advice_for
from console.relay_check import LEAST_BYTES, WORRY_DAYS, Found, Usage, visit
from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.outcome import Classifier
from consumers.delivery.rule_files import BrokenRules
from consumers.delivery.rulebook import RuleBook
from consumers.delivery.timeouts import Timeouts
from consumers.serve import UnfitRelay
from consumers.serve import check_relays as fit_relays
from retry_topics.failure import Failure
from runtime.clock import Clock
from runtime.settings import Settings

#: Less than a worker gives: a relay that takes longer is worth a word.
_TIMEOUTS: Final = Timeouts(connect=5.0, command=8.0)
_VISIT_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Visit:
    """What a relay was like; None: it did not come to an end in time."""

    relay: RelayEndpoint
    result: Found | Failure | None


def examine_relays(settings: Settings, clock: Clock) -> list[Finding]:
    """Visit every relay of the settings at once and return what is to be said of them."""
    try:
        classifier = Classifier(RuleBook.load(settings.relay_rules_file))
        relays = fit_relays(settings, classifier)
    except BrokenRules as error:
        return _unusable("rules", str(error), "MAILCASCADE_RELAY_RULES_FILE")
    except UnfitRelay as error:
        return _unusable("address", str(error), "MAILCASCADE_SMTP_URL")
    usage = Usage(classifier, settings.smtp_connections, clock)
    return check_relays(asyncio.run(_visits(relays, usage)), clock.now_ms() / 1000)


def check_relays(visits: Sequence[Visit], now: float) -> list[Finding]:
    """Return what is to be said of relays that were visited at `now`, in seconds since 1970.

    A relay that is out is a failure where no other takes its mails, and else a warning.
    """
    findings = Findings(Part.RELAY)
    usable = any(isinstance(visited.result, Found) for visited in visits)
    for visited in visits:
        if isinstance(visited.result, Found):
            _check_found(findings, visited.relay, visited.result, now)
            continue
        what, mend = _out(visited)
        tell = findings.warn if usable else findings.fail
        tell(str(visited.relay), what, mend)
    return findings.all


def _check_found(findings: Findings, relay: RelayEndpoint, found: Found, now: float) -> None:
    name = str(relay)
    days = found.days_left(now)
    before = len(findings.all)
    if days is not None and days < WORRY_DAYS:
        findings.warn(
            name,
            f"its certificate ends in {days} days; no mail goes out by it afterwards",
            "have whoever runs the relay renew the certificate",
        )
    if relay.credentials is None and "auth" in found.extensions:
        findings.warn(
            name,
            "it offers AUTH and the URL has no user; it may refuse mails",
            "MAILCASCADE_SMTP_URL with USER:PASSWORD@, or with token-file or token-command",
        )
    if 0 < found.largest < LEAST_BYTES:
        findings.warn(
            name,
            f"it takes mails up to {found.largest:,} bytes only; larger ones are refused",
            "have whoever runs the relay raise its limit",
        )
    if len(findings.all) > before:
        return
    login = "no login" if relay.credentials is None else "the login works"
    tls = found.tls or "clear text"
    lasts = "" if days is None else f", certificate valid for {days} days"
    findings.ok(name, f"it can be used: {tls}{lasts}, {login}")


def _out(visited: Visit) -> tuple[str, str]:
    failure = visited.result
    if not isinstance(failure, Failure):
        return f"it did not answer within {_VISIT_SECONDS:g} s", "mailcascade relay check"
    said = " ".join(
        str(part)
        for part in (failure.code, failure.enhanced, failure.text)
        if part is not None and part != ""
    )
    return f"{failure.phase}: {said}", advice_for(failure, visited.relay)


async def _visits(relays: Sequence[RelayEndpoint], usage: Usage) -> list[Visit]:
    async def one(relay: RelayEndpoint) -> Visit:
        try:
            async with asyncio.timeout(_VISIT_SECONDS):
                return Visit(relay, await visit(relay, usage, _TIMEOUTS))
        except TimeoutError:
            return Visit(relay, None)

    return list(await asyncio.gather(*map(one, relays)))


def _unusable(check: str, what: str, setting: str) -> list[Finding]:
    findings = Findings(Part.RELAY)
    findings.fail(check, what, f"correct {setting}; a worker does not start with it")
    return findings.all
