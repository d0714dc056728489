"""What the doctor says of a sender by what the DNS has; nobody is asked but a table."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from console.doctor.dns_checks import PublicKey, Sending, check_dns, examine_dns
from console.doctor.dns_facts import Lookup
from console.doctor.finding import Finding, Level, Unasked
from runtime.settings import load_settings

KEY = PublicKey("shop.se", "mail._domainkey.shop.se", "v=DKIM1; k=rsa; p=QUJD")
SENDING = Sending("shop.se", "bounces.shop.se", [KEY])
GOOD: Mapping[str, tuple[str, ...]] = {
    "bounces.shop.se": ("other=1", "v=spf1 include:relay.net -all"),
    "mail._domainkey.shop.se": ("v=DKIM1; k=rsa; p=QU JD",),
    "_dmarc.shop.se": ("v=DMARC1; p=reject",),
}


def _lookup(answers: Mapping[str, tuple[str, ...]]) -> Lookup:
    return lambda name: answers.get(name, ())


def _bad(answers: Mapping[str, tuple[str, ...]], sending: Sending = SENDING) -> list[Finding]:
    found = check_dns(sending, _lookup(answers))
    return [one for one in found if one.level is not Level.OK]


def test_a_sender_whose_records_agree_is_well() -> None:
    """SPF of the envelope's domain, the key that signs, DMARC of the domain of From."""
    found = check_dns(SENDING, _lookup(GOOD))

    assert [(one.check, one.level) for one in found] == [
        ("spf", Level.OK),
        ("dkim", Level.OK),
        ("dmarc", Level.OK),
    ]


@pytest.mark.parametrize(
    ("changed", "check", "says", "mend"),
    [
        ({"bounces.shop.se": ()}, "spf", "no SPF record", "v=spf1 include:"),
        ({"bounces.shop.se": ("v=spf10 x",)}, "spf", "no SPF record", "v=spf1 include:"),
        (
            {"bounces.shop.se": ("v=spf1 -all", "v=spf1 a -all")},
            *("spf", "2 SPF records", "one record"),
        ),
        ({"bounces.shop.se": ("v=spf1 +all",)}, "spf", "everybody", "-all"),
        ({"mail._domainkey.shop.se": ()}, "dkim", "is not there", KEY.record),
        ({"mail._domainkey.shop.se": ("v=DKIM1; p=WFla",)}, "dkim", "another key", KEY.record),
        ({"mail._domainkey.shop.se": ("v=DKIM1; p=",)}, "dkim", "another key", KEY.record),
        ({"_dmarc.shop.se": ()}, "dmarc", "no DMARC record", "_dmarc.shop.se"),
        ({"_dmarc.shop.se": ("v=spf1 -all",)}, "dmarc", "no DMARC record", "v=DMARC1"),
    ],
)
def test_a_record_that_is_missing_or_wrong_is_a_warning(
    changed: dict[str, tuple[str, ...]], check: str, says: str, mend: str
) -> None:
    """With the record that mends it, ready to be published."""
    (found,) = _bad({**GOOD, **changed})

    assert (found.check, found.level) == (check, Level.WARN)
    assert says in found.what
    assert mend in found.mend


def test_a_domain_above_may_have_the_dmarc_record() -> None:
    """As receivers look for it."""
    sending = Sending("news.mail.shop.se", "shop.se", [])
    answers = {"shop.se": ("v=spf1 -all",), "_dmarc.shop.se": ("v=DMARC1; p=none",)}

    assert _bad(answers, sending) == []


def test_an_envelope_and_keys_of_others_do_not_align() -> None:
    """DMARC then depends on the relay's own signature."""
    (found,) = _bad({**GOOD, "relay.net": ("v=spf1 -all",)}, Sending("shop.se", "relay.net", []))

    assert found.check == "alignment"
    assert "MAILCASCADE_DKIM_KEYS" in found.mend


@pytest.mark.parametrize("domain", ["localhost", "mail.test", "example.com", "a.example.org"])
def test_a_domain_that_is_nobody_s_is_not_looked_up(domain: str) -> None:
    """As on a developer's machine."""

    def lookup(name: str) -> tuple[str, ...]:
        raise AssertionError(name)

    (found,) = check_dns(Sending(domain, domain, []), lookup)

    assert found.level is Level.OK


def test_a_resolver_that_does_not_answer_makes_everything_unknown() -> None:
    """And nothing wrong."""
    found = check_dns(SENDING, lambda name: Unasked("the DNS does not answer"))

    assert {one.level for one in found} == {Level.UNKNOWN}


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_the_published_key_is_compared_with_the_private_one(tmp_path: Path, kind: str) -> None:
    """By what a receiver would check a signature with."""
    key = generate_private_key(65537, 2048) if kind == "rsa" else Ed25519PrivateKey.generate()
    file = tmp_path / "key.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem)
    settings = load_settings(
        {
            "HOME": str(tmp_path),
            "MAILCASCADE_MAIL_FROM": "Shop <no-reply@shop.se>",
            "MAILCASCADE_DKIM_KEYS": f"mail._domainkey.shop.se={file}",
        }
    )
    spf = {"shop.se": ("v=spf1 -all",), "_dmarc.shop.se": ("v=DMARC1; p=none",)}

    (missing,) = (one for one in examine_dns(settings, _lookup(spf)) if one.level is Level.WARN)
    record = missing.mend.partition('"')[2].rstrip('"')
    found = examine_dns(settings, _lookup({**spf, "mail._domainkey.shop.se": (record,)}))

    assert f"k={kind}; p=" in record
    assert {one.level for one in found} == {Level.OK}
