"""Mails that are assembled by hand are the ones that the standard library would have built."""

import re
from datetime import UTC, datetime
from email import message_from_string
from email.header import decode_header, make_header
from email.headerregistry import Address, DateHeader
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import getaddresses
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from consumers.delivery.bare import Filled, Mould, text_of
from consumers.delivery.body import TextPart
from consumers.delivery.headers import one_line
from consumers.delivery.message import Message
from consumers.delivery.mime import Assembled, Frame
from consumers.delivery.render import Rendered, Unrenderable
from consumers.delivery.sender import Sender
from schemas.events import Recipient, SignupEvent

SENDER = Sender("hello@example.com", "Example, Inc.")
EVENT_ID = UUID("0190a3c4-0000-7000-8000-000000000001")
# 2 May 2024, 10:20:30.456 UTC
OCCURRED_AT = 1_714_645_230_456

HEADER_TRICKS = st.sampled_from(
    [
        "a\r\nBcc: eve@example.org",
        "a\nSubject: other",
        "a\r\n\r\nbody",
        "=?utf-8?q?Bcc=3A?=",
        '"quoted" \\ <eve@example.org>, x',
        "Łukasz " * 30,
        "x" * 500,
        "名前" * 60,
        "a\u2028b\u0085c",
        "(comment)",
        "a@b.example",
        "",
        " ",
    ]
)
TEXT = st.one_of(st.text(max_size=120), HEADER_TRICKS)
PIECES = st.lists(
    st.sampled_from(
        ["plain", ".", "..dots", "From here", "x" * 1200, "ü" * 700, "中文" * 40, "end \t",
         "\r", "\n", "\r\n", "--=_", "=\n", "\0", "\x1b[0m", "trailing  \n", "\u2028", "=3D"]
    ),
    max_size=12,
)  # fmt: skip
BODY = st.one_of(st.text(max_size=400), PIECES.map("".join))
GOOD_PIECES = st.lists(
    st.sampled_from(["Hello ", ",\n", "\n", ".\n", "\n.", "<a href='", "", "z" * 300]), max_size=8
)
HARMLESS = st.sampled_from(["Ada", "a.b", "x=", "--", "y" * 400, "<b>"])
VALUE = st.one_of(HARMLESS, st.text(max_size=5), st.sampled_from(["", "--=_", "_", ".", "\t"]))
#: What only becomes harmful beside its neighbours, among what never is.
BARE_PIECES = st.lists(
    st.sampled_from(
        ["-", "--", "=", "_", "--=", "=_", ".", ".x", "\n", "x\n", "\n\n.y", "", "z" * 300]
    )
)


@st.composite
def _filled(
    draw: st.DrawFn, own: st.SearchStrategy[list[str]], value: st.SearchStrategy[str]
) -> Filled:
    values = draw(st.lists(value, min_size=1, max_size=3))
    pieces: list[str] = []
    gaps: list[list[int]] = [[] for _ in values]
    for piece in draw(own):
        pieces.append(piece)
        which = draw(st.integers(-1, len(values) - 1))
        if which >= 0:
            gaps[which].append(len(pieces))
            pieces.append("")
    return Filled(Mould(pieces, gaps), values)


FILLED = st.one_of(
    _filled(st.one_of(PIECES, BARE_PIECES, GOOD_PIECES), VALUE), _filled(GOOD_PIECES, HARMLESS)
)
LOCAL = st.from_regex(r"[a-z0-9]{1,10}([.+_'-][a-z0-9]{1,8}){0,3}", fullmatch=True)
ADDRESS = st.one_of(
    LOCAL.map(lambda local: f"{local}@example.org"),
    st.sampled_from(["jürgen@example.org", "用户@xn--fsqu00a.example", "o'neil@example.org"]),
)


def event(address: str = "ada@example.org", name: str | None = None) -> SignupEvent:
    recipient = Recipient(address, name)
    return SignupEvent(EVENT_ID, OCCURRED_AT, "welcome", recipient, "en", {}, "tenant")


def assembled(event: SignupEvent, rendered: Rendered) -> Assembled:
    return Frame("welcome", SENDER, None).assemble(event, 0, rendered)


def built(event: SignupEvent, rendered: Rendered) -> str:
    return assembled(event, rendered).content.decode()


def parsed(content: str) -> EmailMessage:
    mail = message_from_string(content, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def reference(event: SignupEvent, rendered: Rendered, message_id: str) -> str:
    """Build the same mail with the standard library."""
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    mail["From"] = Address(SENDER.name, addr_spec=SENDER.address)
    local, _, domain = event.recipient.address.rpartition("@")
    mail["To"] = Address(one_line(event.recipient.name or ""), local, domain)
    mail["Subject"] = one_line(rendered.subject)
    mail["Date"] = datetime.fromtimestamp(OCCURRED_AT // 1000, UTC)
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text_of(rendered.text))
    mail.add_alternative(text_of(rendered.html), subtype="html")
    return mail.as_bytes().decode()


def texts(mail: EmailMessage) -> list[tuple[str, str]]:
    assert mail.get_content_type() == "multipart/alternative"
    return [
        (part.get_content_type(), part.get_content().replace("\r\n", "\n"))
        for part in mail.iter_parts()
    ]


def mailboxes(content: str, header: str) -> list[tuple[str, str]]:
    """Read an address header by the older parser: the newer one of some Python versions puts
    spaces between the encoded words of a long name."""
    addresses = getaddresses([str(message_from_string(content)[header])])
    return [(str(make_header(decode_header(name))), address) for name, address in addresses]


def as_one_text(text: str) -> str:
    """Return what becomes of a text: line ends are line ends, and there is one at the end."""
    lines = re.sub("\r\n|\r", "\n", text)
    return lines if lines.endswith("\n") else lines + "\n"


@given(address=ADDRESS, name=TEXT, subject=TEXT, text=BODY, html=BODY)
@example("a@example.org", "x", "=?utf-8?q?x?=", "--=_", "--=_")
def test_a_mail_says_what_it_should(
    address: str, name: str, subject: str, text: str, html: str
) -> None:
    """Read by the standard library, every header and both texts are the ones that went in."""
    content = built(event(address, name), Rendered(subject, text, html))

    assert mailboxes(content, "From") == [("Example, Inc.", "hello@example.com")]
    assert mailboxes(content, "To") == [(one_line(name), address)]
    mail = parsed(content)
    assert mail["Subject"] == one_line(subject)
    assert mail["Auto-Submitted"] == "auto-generated"
    date = mail["Date"]
    assert isinstance(date, DateHeader)
    assert date.datetime == datetime(2024, 5, 2, 10, 20, 30, tzinfo=UTC)
    assert texts(mail) == [("text/plain", as_one_text(text)), ("text/html", as_one_text(html))]


@given(
    address=LOCAL.map(lambda local: f"{local}@xn--bcher-kva.example"),
    name=st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs"]), max_size=40),
    subject=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=60),
    text=BODY,
    html=BODY,
)
def test_a_mail_equals_the_standard_librarys(
    address: str, name: str, subject: str, text: str, html: str
) -> None:
    """`EmailMessage` builds a mail with the same headers, the same text and the same HTML."""
    rendered = Rendered(subject, text, html)
    message = assembled(event(address, name), rendered)
    ours, theirs = (
        message.content.decode(),
        reference(event(address, name), rendered, message.message_id),
    )

    for header in ("From", "To"):
        assert mailboxes(ours, header) == mailboxes(theirs, header)
    mail, model = parsed(ours), parsed(theirs)
    for header in ("Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"):
        assert mail[header] == model[header]
    assert texts(mail) == texts(model)
    assert sorted(mail.keys()) == sorted(model.keys())


@given(address=ADDRESS, name=TEXT, subject=TEXT, text=BODY, html=BODY)
def test_a_mail_has_proper_lines_and_nothing_else(
    address: str, name: str, subject: str, text: str, html: str
) -> None:
    """Only CRLF ends lines, none is over 998 bytes, all is ASCII but an address that is not."""
    content = assembled(event(address, name), Rendered(subject, text, html)).content

    assert content.endswith(b"\r\n")
    lines = content.split(b"\r\n")
    assert max(map(len, lines)) <= 996
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)
    assert content.isascii() == address.isascii()
    assert max(len(line) for line in lines if not line or b"?=" in line) <= 76


@given(filled=FILLED)
def test_a_part_depends_on_its_text_alone(filled: Filled) -> None:
    """What is known of a mould beforehand changes nothing: the part is the one of its text."""
    whole, known = (TextPart(b"plain").of(text) for text in (filled.text(), filled))

    assert known == whole
    assert b"--=_" not in known.content
    assert max(map(len, known.content.split(b"\r\n"))) <= 996


def test_harmless_values_in_a_bare_mould_are_not_looked_at_twice() -> None:
    """Only what is not known to travel bare is put together to be looked at."""
    mould = Mould(["Hello ", "", ",\n.\n", "", "\n"], [(1,), (3,)])

    assert mould.bare(["Ada", "https://example.com/?a=b="]) == (
        b"Hello Ada,\r\n.\r\nhttps://example.com/?a=b=\r\n"
    )
    assert not mould.is_plain
    for value in ("", ".", "\u00e4", "a\nb", "a\tb", "--=_", "x" * 1000):
        assert mould.bare(["Ada", value]) is None, value


@pytest.mark.parametrize(
    "pieces",
    [["-", "", "x"], ["x", "", "_"], ["x" * 996, "", "x"], ["\u00e4", "", "x"], ["\r\n", "", "x"]],
)
def test_a_mould_that_may_not_travel_bare_says_so(pieces: list[str]) -> None:
    """Neighbours of a gap that may make a boundary, long lines, and what is not ASCII."""
    assert Mould(pieces, [(1,)]).bare(["Ada"]) is None


@given(
    text=st.one_of(BODY, FILLED),
    html=st.one_of(BODY, FILLED),
    header=st.sampled_from([None, "Key", ".Key"]),
)
def test_a_mail_that_is_called_plain_is(
    text: str | Filled, html: str | Filled, header: str | None
) -> None:
    """What its maker vouches for is what would be found by looking at all of it."""
    mail = Frame("welcome", SENDER, header).assemble(event(), 0, Rendered("s", text, html))
    vouched = Message("<1@x>", "a@x", "b@x", mail.content, mail.is_plain)

    assert vouched.wire_form() == structs.replace(vouched, is_plain=False).wire_form()


def test_a_mail_of_plain_lines_is_called_plain() -> None:
    """The looking is spared where it is of no use: for most mails."""
    text = Filled(Mould(["Hello ", "", ".\nA dot. Another.\n"], [(1,)]), ["Ada"])
    rendered = Rendered("s", text, "<p>Hello</p>\n")

    assert assembled(event(), rendered).is_plain


@given(address=ADDRESS, name=TEXT, subject=TEXT, text=BODY)
def test_no_value_adds_a_header_or_a_part(address: str, name: str, subject: str, text: str) -> None:
    """The headers are always the same eight, and there are always two parts."""
    mail = parsed(built(event(address, name), Rendered(subject, text, "<p>x</p>")))

    assert mail.keys() == [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ]
    assert len(list(mail.iter_parts())) == 2
    assert not mail.defects


def test_every_attempt_has_the_same_bytes() -> None:
    """The same event gives the same mail; another event gives another Message-ID."""
    rendered = Rendered("s", "t", "<p>h</p>")
    first, again = (assembled(event(), rendered) for _ in range(2))

    assert first == again
    assert re.fullmatch(r"<[0-9a-f]{40}@example\.com>", first.message_id)


def test_a_text_cannot_close_its_part() -> None:
    """Whoever knows the boundary beforehand still cannot write it into a body."""
    boundary = parsed(built(event(), Rendered("s", "t", "h"))).get_boundary()
    attack = f"hi\n--{boundary}\nContent-Type: text/html\n\n<h1>forged</h1>\n--{boundary}--\n"

    mail = parsed(built(event(), Rendered("s", attack, "<p>real</p>")))

    assert texts(mail) == [("text/plain", attack), ("text/html", "<p>real</p>\n")]


@pytest.mark.parametrize(
    "address",
    [
        "a@b\r\nBcc: eve@example.org",
        "a b@example.org",
        "a>@example.org",
        "a@bücher.example",
        "nobody",
        "a@b@example.org",
        '"a"@example.org',
        "x" * 400 + "@example.org",
    ],
)
def test_an_address_that_could_do_harm_makes_no_mail(address: str) -> None:
    """The event promises a normal address; what is none is refused, not quoted."""
    with pytest.raises(Unrenderable):
        assembled(event(address), Rendered("s", "t", "h"))


def test_broken_unicode_does_not_stop_a_mail() -> None:
    """A lone surrogate cannot be sent, so a question mark is."""
    mail = parsed(built(event(name="a\ud800b"), Rendered("s\udfff", "t\ud800", "h")))

    assert mail["Subject"] == "s?"
    assert texts(mail)[0] == ("text/plain", "t?\n")
