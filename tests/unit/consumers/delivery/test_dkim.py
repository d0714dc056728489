"""Signatures are those that an independent verifier, dkimpy, wants; bad keys are explained."""

import base64
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.dkim import KeyPlace, Signer, UnfitKey
from consumers.delivery.letterhead import UnfitLetterhead, signer_of
from consumers.delivery.mime import Frame
from consumers.delivery.render import Rendered
from consumers.delivery.sender import Sender
from runtime.settings import load_settings
from schemas.events import Recipient, SignupEvent

RSA = new_rsa(public_exponent=65537, key_size=2048)
ED25519 = Ed25519PrivateKey.generate()
AT = 1_714_645_230
TEXT = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(
            ["a  b", "\tc ", " \n", "\n\n", "x" * 1200, "ü", "中文" * 40, ".", "\r\n", " "]
        )
    ).map("".join),
)
#: The DNS records of the public halves, as RFC 6376 and RFC 8463 describe them.
DNS = {
    b"r1._domainkey.example.com.": b"v=DKIM1; k=rsa; p="
    + base64.b64encode(
        RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ),
    b"mail.e1._domainkey.example.com.": b"v=DKIM1; k=ed25519; p="
    + base64.b64encode(ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)),
}


def pem(key: PrivateKeyTypes, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    directory = tmp_path_factory.mktemp("keys")
    (directory / "rsa.pem").write_bytes(pem(RSA))
    (directory / "ed25519.pem").write_bytes(pem(ED25519))
    return Signer(
        [
            KeyPlace.parse(f"r1._domainkey.example.com={directory}/rsa.pem"),
            KeyPlace.parse(f"mail.e1._domainkey.example.com={directory}/ed25519.pem"),
        ]
    )


def mail(
    subject: str = "Hello", text: str = "Hi\n", html: str = "<p>Hi</p>", name: str = ""
) -> bytes:
    recipient = Recipient("a@x.example", name)
    event = SignupEvent(UUID(int=1), AT * 1000, "t", recipient, "en", {}, "t")
    frame = Frame("t", Sender("app@example.com", "Äpp"), "X-EE-Idempotency-Key")
    unsubscribe = b"\r\nList-Unsubscribe: <https://x.example/u>"
    return frame.assemble(event, 0, Rendered(subject, text, html), unsubscribe).content


def verified(content: bytes) -> list[bool]:
    """Return what the verifier says of each of the two signatures."""
    verifier = dkim.DKIM(content)

    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        return DNS.get(name)

    answers = []
    for which in range(2):
        try:
            answers.append(bool(verifier.verify(idx=which, dnsfunc=look_up)))
        except dkim.ValidationError:
            answers.append(False)
    return answers


@given(subject=TEXT, text=TEXT, html=TEXT, name=TEXT)
def test_every_mail_is_signed_so_that_receivers_agree(
    signer: Signer, subject: str, text: str, html: str, name: str
) -> None:
    """Whatever it says: by both keys, in lines of 78 at most, the mail itself unchanged."""
    content = mail(subject, text, html, name)

    signed = signer.sign(content, AT)

    assert verified(signed) == [True, True]
    assert signed.endswith(b"\r\n" + content)
    assert max(map(len, signed.removesuffix(content).split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"Subject: Hello", b"Subject: Other"),
        lambda content: content.replace(b"<p>Hi</p>", b"<p>Ho</p>"),
        lambda content: content.replace(b"https://x.example/u", b"https://y.example/u"),
        lambda content: b"From: other@example.org\r\n" + content,
        lambda content: b"Subject: other\r\n" + content,
        lambda content: b"Reply-To: other@example.org\r\n" + content,
    ],
    ids=["subject", "body", "unsubscribe", "second From", "second Subject", "Reply-To"],
)
def test_a_changed_mail_has_no_valid_signature(
    signer: Signer, change: Callable[[bytes], bytes]
) -> None:
    """Also where a header is added that readers would be shown in place of the signed one."""
    assert verified(change(signer.sign(mail(), AT))) == [False, False]


def test_a_provider_may_take_its_own_header_off(signer: Signer) -> None:
    """The idempotency header is not signed."""
    lines = signer.sign(mail(), AT).split(b"\r\n")
    kept = [line for line in lines if not line.startswith(b"X-EE-Idempotency-Key")]

    assert len(kept) == len(lines) - 1
    assert verified(b"\r\n".join(kept)) == [True, True]


def test_every_attempt_has_the_same_signatures(signer: Signer) -> None:
    """Neither kind of key brings randomness into them."""
    assert signer.sign(mail(), AT) == signer.sign(mail(), AT)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        (b"secret words", "no private key in PEM"),
        (pem(RSA)[:400] + b"secret" + pem(RSA)[500:], "no private key in PEM"),
        (pem(RSA, BestAvailableEncryption(b"x")), "is encrypted"),
        (pem(new_ec(SECP256R1())), "neither an RSA nor an Ed25519 key"),
    ],
    ids=["missing", "nonsense", "damaged", "encrypted", "other"],
)
def test_a_key_that_cannot_sign_is_an_error_at_start(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    """It names the setting and the file, and shows nothing of what is in it."""
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    environ = {"HOME": "/x", "MAILCASCADE_DKIM_KEYS": f"s._domainkey.example.com={file}"}

    with pytest.raises(UnfitLetterhead, match=problem) as caught:
        signer_of(load_settings(environ))

    assert str(caught.value).startswith(f"MAILCASCADE_DKIM_KEYS: {file}: ")
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, UnfitKey)
