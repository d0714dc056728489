"""Addresses: `email-validator` decides, the fast way agrees with it."""

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.addresses import parse_address
from schemas.errors import InvalidAddress

domains = st.sampled_from(
    [
        "example.com",
        "EXAMPLE.org",
        "mail.example.co.uk",
        "müller.example.com",
        "xn--mller-kva.example.com",
        "例え.jp",
        "x.test",
        "localhost",
        "example",
        "a-.com",
        "a..com",
        "1.2.3.4",
        "[127.0.0.1]",
        "sub_domain.example.com",
        "xn--zz.com",
        "example.com.",
        "d" * 63 + "." + "d" * 63 + "." + "d" * 63 + ".com",
        "d" * 64 + ".com",
    ]
)
atoms = st.text("abcXYZ019.!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=70)
locals_ = atoms | st.sampled_from(["INFO", "PostMaster", "a" * 64, "a" * 65]) | st.text(max_size=9)
shaped = st.builds("{}@{}".format, locals_, domains | st.text(max_size=9))


def truth(text: str) -> str | None:
    """The normal form by `email-validator` alone; None: refused."""
    try:
        address = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return None
    return f"{address.local_part}@{address.ascii_domain}"


def ours(text: str) -> str | None:
    try:
        return parse_address(text)
    except InvalidAddress:
        return None


@settings(max_examples=1000)
@given(shaped)
@example("a@" + "d" * 60 + "." + "d" * 60 + "." + "d" * 60 + "." + "d" * 60 + ".example")
@example("a" * 60 + "@" + ".".join(["d" * 60] * 3) + ".example.com")
@example("a@b@example.com")
@example("a@@example.com")
@example("a@\u0338example.com")
def test_address_like_texts_get_the_answer_of_email_validator(text: str) -> None:
    """The fast way changes no answer and no normal form."""
    assert ours(text) == truth(text)


@given(st.text(max_size=300))
def test_any_text_gets_the_answer_of_email_validator(text: str) -> None:
    """No text raises anything but InvalidAddress."""
    assert ours(text) == truth(text)


@given(shaped)
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    """Normalising twice changes nothing, so equal recipients have equal lanes."""
    normal = ours(text)

    assert normal is None or parse_address(normal) == normal


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada.Lovelace+bounce@Example.COM", "Ada.Lovelace+bounce@example.com"),
        ("SUPPORT@example.com", "support@example.com"),
        ("ada@MÜLLER.example.com", "ada@xn--mller-kva.example.com"),
        ("ada@xn--mller-kva.example.com", "ada@xn--mller-kva.example.com"),
        ("ada@例え。jp", "ada@xn--r8jz45g.jp"),
        ("用户@example.com", "用户@example.com"),
        ("rene\u0301@example.com", "ren\u00e9@example.com"),
    ],
)
def test_an_address_has_one_normal_form(text: str, normal: str) -> None:
    """The domain becomes lower-case A-labels; the local part keeps its case and script, in NFC."""
    assert parse_address(text) == normal


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must have an @-sign"),
        ("ada", "must have an @-sign"),
        ("@example.com", "something before the @-sign"),
        ("ada@", "something after the @-sign"),
        ("ada@example", "should have a period"),
        ("ada@mail.test", "special-use"),
        ("ada@mail.invalid", "special-use"),
        ("ada@example.com\r\nRCPT TO:<eve@example.com>", "invalid characters"),
        ("ada\x00@example.com", "U+0000"),
        ("ada@example.com\n", "U+000A"),
        ("ada\x7f@example.com", "U+007F"),
        (" ada@example.com", "SPACE"),
        ("Ada <ada@example.com>", "display name"),
        ('"ada lovelace"@example.com', "Quoting"),
        ("ada@[127.0.0.1]", "bracketed IP address"),
        ("a" * 65 + "@example.com", "too long before the @-sign"),
        ("ada@" + "d." * 200 + "com", "too long"),
        ("a" * 1_000_000, "too long"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(text: str, why: str) -> None:
    """The message tells the person who typed it what is wrong."""
    with pytest.raises(InvalidAddress) as caught:
        parse_address(text)

    assert why.lower() in str(caught.value).lower()
