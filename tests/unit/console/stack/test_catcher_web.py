"""The catcher's page and its JSON."""

from collections.abc import Iterator
from itertools import count

import pytest
from starlette.testclient import TestClient

from console.stack.catcher.smtp import SmtpListener
from console.stack.catcher.store import Envelope, MailStore
from console.stack.catcher.web import build_app

MAIL = (
    b"Subject: <b>Hello</b>\r\nMessage-ID: <1@x>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain <i>text</i>\r\n"
    b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n"
)


@pytest.fixture
def store() -> MailStore:
    """Three caught mails."""
    mails = MailStore(count(1_700_000_000_000).__next__)
    for name in ("ada", "bob", "<eve>"):
        mails.add(Envelope("us@example.com", (f"{name}@example.com",)), MAIL)
    return mails


@pytest.fixture
def client(store: MailStore) -> Iterator[TestClient]:
    """A client of the application; the mail server beside it is down."""
    app = build_app(store, SmtpListener(store, "127.0.0.1", 0))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_the_list_is_newest_first_and_escaped(client: TestClient) -> None:
    """Nothing in a mail or an address becomes markup of the page."""
    page = client.get("/").text.partition("<tbody>")[2]

    assert page.index("bob@") < page.index("ada@")
    assert "&lt;eve&gt;@example.com" in page
    assert "<b>Hello" not in page


def test_the_list_can_be_narrowed_to_a_recipient(client: TestClient) -> None:
    """`to` finds one recipient's mails on the page and in the JSON."""
    assert "bob@example.com" not in client.get("/?to=ada@example.com").text
    assert [mail["to"] for mail in client.get("/api/mails?to=ADA@example.com").json()] == [
        ["ada@example.com"]
    ]


def test_html_is_shown_in_a_frame_that_can_do_nothing(client: TestClient) -> None:
    """The page never contains the mail's HTML; the frame's document is sandboxed by its policy."""
    page = client.get("/mails/1")
    frame = client.get("/mails/1/html")

    assert "<script" not in page.text
    assert "<iframe sandbox" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert frame.text.strip() == "<script>alert(1)</script>"
    assert frame.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_the_raw_mail_is_a_download_of_the_same_bytes(client: TestClient) -> None:
    """What was caught can be opened in a mail program."""
    answer = client.get("/mails/2/raw")

    assert answer.content == MAIL
    assert answer.headers["content-disposition"] == 'attachment; filename="mail-2.eml"'


def test_the_json_pages_by_number(client: TestClient) -> None:
    """`after` and `limit` walk through all mails, oldest first."""
    assert [mail["number"] for mail in client.get("/api/mails?after=1&limit=1").json()] == [2]
    assert [mail["number"] for mail in client.get("/api/mails?after=2").json()] == [3]


def test_one_mail_as_json_has_headers_and_both_bodies(client: TestClient) -> None:
    """Everything a test of an application wants to assert on is in one answer."""
    mail = client.get("/api/mails/1").json()

    assert ["Subject", "<b>Hello</b>"] in mail["headers"]
    assert mail["text"].strip() == "plain <i>text</i>"
    assert mail["html"].strip() == "<script>alert(1)</script>"


def test_the_summary_counts_and_tells_whether_it_listens(client: TestClient) -> None:
    """The mail server is taken up and down by PUT, for outages by hand."""
    expected = {"accepted": 3, "refused": {}, "dropped": 0, "listening": False}
    assert client.get("/api/summary").json() == expected

    assert client.put("/api/listening", content="true").json() is True
    assert client.put("/api/listening", content="false").json() is False
    assert client.put("/api/listening", content="maybe").status_code == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [("/mails/9", 404), ("/api/mails/9", 404), ("/api/mails?after=x", 400), ("/?before=-1", 400)],
)
def test_what_does_not_exist_is_an_error_of_the_asker(
    client: TestClient, path: str, status: int
) -> None:
    """Wrong numbers are answered with 4xx, never with a fault of the server."""
    assert client.get(path).status_code == status


def test_another_host_name_is_refused(store: MailStore) -> None:
    """A web page elsewhere whose name resolves to loopback cannot read the mails."""
    app = build_app(store, SmtpListener(store, "127.0.0.1", 0))
    with TestClient(app, base_url="http://evil.example") as client:
        assert client.get("/api/mails").status_code == 400
