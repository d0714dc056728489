"""What the DNS says of the sender, as far as it answers: SPF, DKIM, DMARC (RFC 7208, 6376, 7489).

Mails go out without; receivers may treat them as junk or refuse them. So nothing here is a failure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from console.doctor.dns_facts import Lookup
from console.doctor.finding import Finding, Findings, Part, Unasked
from consumers.delivery.dkim import KeyPlace, UnfitKey, public_record
from consumers.delivery.letterhead import UnfitLetterhead, letterhead_of
from runtime.settings import Settings

#: Names that are nobody's (RFC 2606, 6761, 6762): no receiver looks anything up for them.
_NOBODY_S: Final = ("localhost", "test", "invalid", "example", "local", "internal")
_NOBODY_S_DOMAINS: Final = ("example.com", "example.net", "example.org")
_FEWEST_LABELS: Final = 2


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signs, by its name in the DNS, and what the DNS must have there."""

    domain: str
    name: str
    record: str


@dataclass(frozen=True, slots=True)
class Sending:
    """Whose mails these are: the domain of From, that of the envelope, and the keys that sign."""

    sender: str
    envelope: str
    keys: Sequence[PublicKey]


def examine_dns(settings: Settings, lookup: Lookup) -> list[Finding]:
    """Look up what receivers will look up, and return what is to be said of it."""
    findings = Findings(Part.DNS)
    try:
        letterhead = letterhead_of(settings)
        keys = [_public(KeyPlace.parse(key)) for key in settings.dkim_keys]
    except (UnfitLetterhead, UnfitKey) as error:
        findings.unknown("sender", str(error), "see the finding about the letterhead")
        return findings.all
    sender = letterhead.sender.domain
    path = letterhead.return_path
    envelope = sender if path is None else path.address.rpartition("@")[2]
    return check_dns(Sending(sender, envelope, keys), lookup)


def check_dns(sending: Sending, lookup: Lookup) -> list[Finding]:
    """Return what is to be said of a sender by what the DNS has."""
    findings = Findings(Part.DNS)
    if _is_nobody_s(sending.sender):
        findings.ok("sender", f"{sending.sender} is nobody's domain: there is nothing to look up")
        return findings.all
    _check_spf(findings, sending.envelope, lookup)
    for key in sending.keys:
        _check_key(findings, key, lookup)
    if not sending.keys:
        findings.ok("dkim", "no key is set (MAILCASCADE_DKIM_KEYS): the relay has to sign")
    _check_alignment(findings, sending)
    _check_dmarc(findings, sending.sender, lookup)
    return findings.all


def _check_spf(findings: Findings, domain: str, lookup: Lookup) -> None:
    texts = lookup(domain)
    if isinstance(texts, Unasked):
        findings.unknown("spf", texts.reason)
        return
    records = [text for text in texts if text.lower().split(" ")[0] == "v=spf1"]
    if not records:
        findings.warn(
            "spf",
            f"{domain} has no SPF record: receivers cannot tell that the relay may send for it",
            f'a TXT record at {domain}: "v=spf1 include:THE-RELAY-S-DOMAIN -all"',
        )
    elif len(records) > 1:
        findings.warn(
            "spf",
            f"{domain} has {len(records)} SPF records, which receivers take for an error",
            "make one record of them",
        )
    elif {"+all", "all"} & set(records[0].lower().split()):
        findings.warn(
            "spf", f"{domain} lets everybody send: {records[0]}", 'end the record with "-all"'
        )
    else:
        findings.ok("spf", f"{domain}: {records[0]}")


def _check_key(findings: Findings, key: PublicKey, lookup: Lookup) -> None:
    texts = lookup(key.name)
    if isinstance(texts, Unasked):
        findings.unknown("dkim", texts.reason)
        return
    mend = f'a TXT record at {key.name}: "{key.record}"'
    published = {_tags(text).get("p", "") for text in texts}
    if not published:
        findings.warn("dkim", f"{key.name} is not there: no receiver can check a signature", mend)
    elif _tags(key.record)["p"] in published:
        findings.ok("dkim", f"{key.name} has the key that signs")
    else:
        findings.warn(
            "dkim", f"{key.name} has another key than the one that signs: all signatures fail", mend
        )


def _check_alignment(findings: Findings, sending: Sending) -> None:
    """Tell where DMARC could not pass whatever is published; a relay may still sign for us."""
    own = [sending.envelope, *(key.domain for key in sending.keys)]
    if any(_is_within(one, sending.sender) or _is_within(sending.sender, one) for one in own):
        return
    findings.warn(
        "alignment",
        f"neither the envelope's {sending.envelope} nor a key is of {sending.sender}: DMARC passes "
        "only where the relay signs for it",
        f"a key of {sending.sender} in MAILCASCADE_DKIM_KEYS, or a MAILCASCADE_RETURN_PATH there",
    )


def _check_dmarc(findings: Findings, domain: str, lookup: Lookup) -> None:
    for name in _upwards(domain):
        texts = lookup(f"_dmarc.{name}")
        if isinstance(texts, Unasked):
            findings.unknown("dmarc", texts.reason)
            return
        records = [text for text in texts if _tags(text).get("v", "").upper() == "DMARC1"]
        if records:
            findings.ok("dmarc", f"_dmarc.{name}: {records[0]}")
            return
    findings.warn(
        "dmarc",
        f"{domain} has no DMARC record: large receivers refuse bulk mail without one",
        f'a TXT record at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:POSTMASTER@{domain}"',
    )


def _public(place: KeyPlace) -> PublicKey:
    name = f"{place.selector}._domainkey.{place.domain}"
    return PublicKey(place.domain, name, public_record(place))


def _tags(record: str) -> dict[str, str]:
    """Return a record's tags; blanks inside a value, as from folded keys, do not count."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip(): "".join(value.split()) for name, _, value in pairs if name.strip()}


def _upwards(domain: str) -> Iterator[str]:
    """Yield a domain and those above it, down to two labels."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - _FEWEST_LABELS + 1)):
        yield ".".join(labels[start:])


def _is_within(domain: str, other: str) -> bool:
    return domain == other or domain.endswith(f".{other}")


def _is_nobody_s(domain: str) -> bool:
    return domain.rpartition(".")[2] in _NOBODY_S or any(
        _is_within(domain, other) for other in _NOBODY_S_DOMAINS
    )
