"""What the catcher remembers."""

from itertools import count

from console.stack.catcher.store import Envelope, MailStore

ADA = Envelope("us@example.com", ("Ada@example.com",))
CONTENT = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n"


def store(limit: int = 10) -> MailStore:
    """Return an empty store whose clock counts calls."""
    return MailStore(count(1000).__next__, limit)


def test_the_oldest_mail_is_forgotten_and_the_count_goes_on() -> None:
    """Memory is bounded; the summary is not a count of what is kept."""
    mails = store(limit=2)
    for _ in range(3):
        mails.add(ADA, CONTENT)

    assert [mail.number for mail in mails.mails()] == [2, 3]
    assert mails.summary().accepted == 3
    assert mails.get(1) is None


def test_a_mail_knows_its_decoded_subject_and_when_it_came() -> None:
    """Subject and Message-ID are read once, at arrival."""
    mail = store().add(ADA, CONTENT)

    assert (mail.subject, mail.message_id, mail.received_at) == ("Grüße", "<1@x>", 1000)


def test_recipients_are_found_whatever_their_case() -> None:
    """The look-up by recipient ignores case."""
    mails = store()
    mails.add(ADA, CONTENT)

    assert len(mails.to("ada@EXAMPLE.com")) == 1
    assert mails.to("bob@example.com") == []


def test_attempts_are_counted_per_address() -> None:
    """Each address has its own count, and refusals are counted by reply code."""
    mails = store()
    assert [mails.count_attempt("a"), mails.count_attempt("a"), mails.count_attempt("b")] == [
        0,
        1,
        0,
    ]
    mails.count_refusal("451 4.7.1 later")
    mails.count_refusal("550 5.1.1 no")
    mails.count_refusal("451 4.2.1 busy")

    assert mails.summary().refused == {"451": 2, "550": 1}


def test_bytes_that_are_no_mail_are_kept_all_the_same() -> None:
    """The catcher shows what it got, however malformed."""
    assert store().add(ADA, b"\xff\xfe not a mail").content == b"\xff\xfe not a mail"
