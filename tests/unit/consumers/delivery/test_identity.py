"""Who a mail is from is what its From header says."""

import pytest

from consumers.delivery.identity import identity_of
from consumers.delivery.message import Message


@pytest.mark.parametrize(
    "head",
    [
        b"From: Example <App@Example.com>\r\nTo: x@y\r\n",
        b"DKIM-Signature: v=1;\r\n h=from\r\nfrom: app@example.com\r\n",
        b"From: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n <app@example.com>\r\nTo: x@y\r\n",
    ],
)
def test_the_from_header_counts(head: bytes) -> None:
    """In any case, folded or behind other headers; the return path is somebody else's."""
    message = Message("<1@x>", "bounces+1@mail.example.com", "x@y", head + b"\r\nFrom: not@me\r\n")
    assert identity_of(message) == "app@example.com"


def test_without_one_the_envelope_does() -> None:
    """What stands in the body is no header."""
    message = Message("<1@x>", "App@example.com", "x@y", b"To: x@y\r\n\r\nFrom: not@me\r\n")
    assert identity_of(message) == "app@example.com"
