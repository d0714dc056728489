"""Senders and return paths are read strictly: nothing that a header cannot hold gets through."""

from uuid import UUID

import pytest

from consumers.delivery.sender import InvalidSender, ReturnPath, Sender
from schemas.identity import lane_key, parse_mail_id


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("hello@example.com", Sender("hello@example.com")),
        ("Example <hello@example.com>", Sender("hello@example.com", "Example")),
        ('"Example, Inc." <hello@example.com>', Sender("hello@example.com", "Example, Inc.")),
        ("Müller <hallo@bücher.example>", Sender("hallo@xn--bcher-kva.example", "Müller")),
    ],
)
def test_a_sender_is_read(text: str, sender: Sender) -> None:
    """A bare address or one with a name; the domain becomes its A-label."""
    assert Sender.parse(text) == sender


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Example",
        "a@example.com, b@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a b@example.com",
        "Example <>",
        "a@",
        "a@-example.com",
        "Example <hello@example.com> x",
        "a@example.com <hello@example.com",
    ],
)
def test_a_wrong_sender_is_refused(text: str) -> None:
    """What is not one mailbox cannot be written in a From header."""
    with pytest.raises(InvalidSender):
        Sender.parse(text)


def test_a_return_path_is_read() -> None:
    """Its domain becomes the A-label; without an id in it, it is the same for all mails."""
    path = ReturnPath.parse("zurück+x@bücher.example")

    assert path.of(UUID(int=1), "a@example.org") == "zurück+x@xn--bcher-kva.example"


def test_a_bounce_tells_which_mail_it_is_about() -> None:
    """The public id stands where the return path has a place for it."""
    address = ReturnPath.parse("b+{id}@example.com").of(UUID(int=5), "a@example.org")

    local, _, domain = address.partition("@")
    assert domain == "example.com"
    assert parse_mail_id(local.removeprefix("b+")) == (UUID(int=5), lane_key("a@example.org"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a domain name"),
        ("Bounces <b@example.com>", "not a"),
        ("b@{id}.example.com", "not a domain name"),
        ("{id}{id}@example.com", "once"),
        ("{name}@example.com", "braces"),
        ("b}@example.com", "braces"),
        ("bounces-of-the-whole-application-{id}@example.com", "65 characters"),
        ("b@example.com\r\nX: y", "control"),
    ],
)
def test_a_wrong_return_path_is_refused(text: str, problem: str) -> None:
    """Before any mail, with what is wrong about it."""
    with pytest.raises(InvalidSender, match=problem):
        ReturnPath.parse(text)
