"""What stands on every mail comes from the settings, and what cannot stand there is explained."""

import pytest

from consumers.delivery.letterhead import Letterhead, UnfitLetterhead, letterhead_of
from consumers.delivery.sender import ReturnPath, Sender
from runtime.settings import load_settings


def letterhead(**settings: str) -> Letterhead:
    environ = {f"MAILCASCADE_{name}": value for name, value in settings.items()}
    return letterhead_of(load_settings({"HOME": "/nowhere", **environ}))


def test_a_letterhead_is_read() -> None:
    """Sender, return path and the idempotency header's name."""
    read = letterhead(
        MAIL_FROM="App <app@example.com>",
        RETURN_PATH="b+{id}@example.com",
        IDEMPOTENCY_HEADER="X-Key",
    )

    assert read.sender == Sender("app@example.com", "App")
    assert read.return_path == ReturnPath("b+{id}@example.com")
    assert read.idempotency_header == "X-Key"


@pytest.mark.parametrize(
    ("name", "value"), [("MAIL_FROM", "a@-example.com"), ("RETURN_PATH", "b@example.com{id}")]
)
def test_an_unfit_setting_is_named(name: str, value: str) -> None:
    """A person finds the setting, its value and what is wrong in one line."""
    with pytest.raises(UnfitLetterhead, match=f"MAILCASCADE_{name}: .*not a domain name"):
        letterhead(**{name: value})
