"""Subscription mails, and no others, say how to unsubscribe with one click."""

from email import message_from_bytes
from email.policy import default
from uuid import UUID

import pytest

from consumers.delivery.compose import Composer
from consumers.delivery.letterhead import Letterhead, UnfitLetterhead, letterhead_of
from consumers.delivery.render import Unrenderable
from consumers.delivery.sender import Sender
from runtime.settings import load_settings
from schemas.catalogue import Catalogue, Template, TemplateSource
from schemas.errors import BrokenCatalogue
from schemas.events import Recipient, SignupEvent
from schemas.identity import lane_key, mail_id
from schemas.manifest import Category, OnAmbiguous
from schemas.url_patterns import UrlPattern
from schemas.variables import Kind, Variable

DEFAULT = "https://example.com/leave/{id}"


def event(token: str = "a/b ü") -> SignupEvent:
    recipient = Recipient("ada@example.org")
    return SignupEvent(UUID(int=9), 0, "news", recipient, "en", {"token": token}, "t")


def composer(
    category: Category = Category.SUBSCRIPTION,
    own: str | None = None,
    default_url: str | None = DEFAULT,
    text: str = "{{ token }}",
) -> Composer:
    template = Template(
        "news",
        category,
        None,
        OnAmbiguous.RESEND,
        {"token": Variable("token", Kind.TEXT, 2000, True, "x")},
        {"en": TemplateSource("s", text, "<p>{{ token }}</p>")},
        unsubscribe_url=UrlPattern.parse(own) if own else None,
    )
    letterhead = Letterhead(
        Sender("news@example.com"),
        unsubscribe_url=UrlPattern.parse(default_url) if default_url else None,
    )
    return Composer(Catalogue({"news": template}), letterhead)


def headers(made: Composer) -> tuple[str | None, str | None]:
    mail = message_from_bytes(made.compose(event(), 0).content, policy=default)
    return mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"]


def test_the_settings_url_has_the_mails_id() -> None:
    """Both headers are there, as RFC 8058 wants them."""
    found = mail_id(UUID(int=9), lane_key("ada@example.org"))

    assert headers(composer()) == (
        f"<https://example.com/leave/{found}>",
        "List-Unsubscribe=One-Click",
    )


def test_a_templates_own_url_goes_first() -> None:
    """Its values come from the event, and cannot leave their places."""
    url, _ = headers(composer(own="https://news.example.com/{template}?t={token}"))

    assert url == "<https://news.example.com/news?t=a%2Fb%20%C3%BC>"


@pytest.mark.parametrize("category", [Category.TRANSACTIONAL, Category.SECURITY])
def test_other_mails_have_neither_header(category: Category) -> None:
    """Nobody can unsubscribe from a password."""
    assert headers(composer(category)) == (None, None)


def test_the_texts_can_show_the_url() -> None:
    """Receivers ask for a link that people see, beside the header."""
    made = composer(own="https://example.com/{token}", text="Leave: {{ unsubscribe_url }}")

    assert b"Leave: https://example.com/a%2Fb%20%C3%BC" in made.compose(event(), 0).content


def test_a_subscription_without_a_way_out_is_refused_at_start() -> None:
    """The message names the template and both places where the URL may be set."""
    with pytest.raises(BrokenCatalogue, match=r"news.*template\.toml.*MAILCASCADE_UNSUBSCRIBE_URL"):
        composer(default_url=None)


def test_a_url_that_the_template_cannot_fill_is_refused_at_start() -> None:
    """It would fail for every mail."""
    with pytest.raises(BrokenCatalogue, match=r"news: MAILCASCADE_UNSUBSCRIBE_URL: \{account"):
        composer(default_url="https://example.com/{account}")


def test_a_wrong_setting_is_named() -> None:
    """Before any mail."""
    environ = {"HOME": "/x", "MAILCASCADE_UNSUBSCRIBE_URL": "ftp://example.com"}

    with pytest.raises(UnfitLetterhead, match="MAILCASCADE_UNSUBSCRIBE_URL: must be an https URL"):
        letterhead_of(load_settings(environ))


def test_a_url_that_no_header_holds_makes_no_mail() -> None:
    """It cannot be folded, and a line ends at 998 bytes."""
    with pytest.raises(Unrenderable, match="characters"):
        composer(own="https://example.com/{token}").compose(event("ü" * 200), 0)


def test_an_event_that_lacks_a_value_makes_no_mail() -> None:
    """Events come from other producers than our API, too."""
    lacking = SignupEvent(UUID(int=9), 0, "news", Recipient("a@example.org"), "en", {}, "t")

    with pytest.raises(Unrenderable, match=r"data\.token: is required"):
        composer(own="https://example.com/{token}").compose(lacking, 0)
