"""The catcher's SMTP dialogue, over a real connection."""

import smtplib

import pytest

from console.stack.catcher.threaded import CatcherThread

CONTENT = "Subject: hi\r\n\r\n..dotted\r\n"


def send(catcher: CatcherThread, address: str) -> dict[str, tuple[int, bytes]]:
    """Send one mail over a new connection; return what was refused of it."""
    with smtplib.SMTP("127.0.0.1", catcher.smtp_port, timeout=10) as client:
        return client.sendmail("us@example.com", [address], CONTENT)


def test_an_accepted_mail_is_kept_with_its_envelope_and_bytes(catcher: CatcherThread) -> None:
    """What was sent is what is kept, byte for byte."""
    send(catcher, "ada@example.com")

    (mail,) = catcher.store.mails()
    assert mail.recipients == ("ada@example.com",)
    assert mail.envelope_from == "us@example.com"
    assert mail.content == CONTENT.encode()


def test_a_greylisted_address_is_taken_at_the_second_attempt(catcher: CatcherThread) -> None:
    """The first attempt gets 451 4.7.1, the second is kept."""
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(catcher, "ada+greylist@example.com")
    send(catcher, "ada+greylist@example.com")

    assert refused.value.recipients["ada+greylist@example.com"][0] == 451
    assert len(catcher.store.mails()) == 1
    assert catcher.store.summary().refused == {"451": 1}


def test_a_dropped_mail_gets_no_reply_and_is_not_kept(catcher: CatcherThread) -> None:
    """The connection breaks after the final dot, so the sender cannot know."""
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(catcher, "ada+drop@example.com")

    assert catcher.store.mails() == []
    assert catcher.store.summary().dropped == 1


def test_down_breaks_connections_and_up_listens_on_the_same_port(catcher: CatcherThread) -> None:
    """An outage ends open connections and refuses new ones until it is over."""
    port = catcher.smtp_port
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.ehlo()
        catcher.down()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
        with pytest.raises(ConnectionRefusedError):
            send(catcher, "ada@example.com")

    catcher.up()
    send(catcher, "ada@example.com")
    assert catcher.smtp_port == port
    assert len(catcher.store.mails()) == 1


def test_addresses_beyond_ascii_are_taken(catcher: CatcherThread) -> None:
    """The catcher offers SMTPUTF8."""
    with smtplib.SMTP("127.0.0.1", catcher.smtp_port, timeout=10) as client:
        client.ehlo()
        client.sendmail("us@example.com", ["jürgen@example.com"], CONTENT, ["SMTPUTF8"])

    assert catcher.store.mails()[0].recipients == ("jürgen@example.com",)
