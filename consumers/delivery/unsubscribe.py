"""How recipients of subscription mails unsubscribe: by RFC 2369, and with one click by RFC 8058."""

from collections.abc import Mapping
from typing import Final

from consumers.delivery.render import Unrenderable
from schemas.catalogue import Catalogue, Template
from schemas.errors import BrokenCatalogue
from schemas.events import SignupEvent
from schemas.identity import lane_key, mail_id
from schemas.manifest import Category
from schemas.url_patterns import MAIL_ID, TEMPLATE, UrlPattern

#: A URL cannot be folded, and a line has at most 998 bytes.
_LONGEST: Final = 900
#: By this name a subscription template shows the URL in its texts.
VARIABLE: Final = "unsubscribe_url"


def unsubscribe_patterns(catalogue: Catalogue, default: UrlPattern | None) -> dict[str, UrlPattern]:
    """Return the pattern of each subscription template: its own, or the default.

    Raises:
        BrokenCatalogue: one has none, or one that it cannot fill. A mailing that nobody can leave
            is not sent.
    """
    problems: list[str] = []
    patterns = {}
    for name in catalogue.names:
        template = catalogue.get(name)
        if template.category is not Category.SUBSCRIPTION:
            continue
        pattern = template.unsubscribe_url or default
        if pattern is None:
            problems.append(
                f"template {name}: is of the category {Category.SUBSCRIPTION}, so that its mails "
                "must say where to unsubscribe: set unsubscribe_url in its template.toml, or "
                "MAILCASCADE_UNSUBSCRIBE_URL"
            )
            continue
        problems.extend(_unfit(template, pattern))
        patterns[name] = pattern
    if problems:
        raise BrokenCatalogue(problems)
    return patterns


def unsubscribe_url(pattern: UrlPattern, event: SignupEvent) -> str:
    """Return where the event's recipient unsubscribes.

    Raises:
        Unrenderable: the event lacks a value, or the URL is too long for a header.
    """
    values: Mapping[str, str] = event.data
    if MAIL_ID in pattern.names or TEMPLATE in pattern.names:
        found = mail_id(event.event_id, lane_key(event.recipient.address))
        values = {MAIL_ID: found, TEMPLATE: event.template, **event.data}
    try:
        url = pattern.fill(values)
    except LookupError as error:
        raise Unrenderable(f"data.{error.args[0]}: is required to unsubscribe") from error
    except ValueError as error:
        raise Unrenderable(f"the URL to unsubscribe cannot be made: {error}") from error
    if len(url) > _LONGEST:
        raise Unrenderable(
            f"the URL to unsubscribe has {len(url)} characters; a header takes {_LONGEST}"
        )
    return url


def unsubscribe_headers(url: str) -> bytes:
    """Return the headers, each with CRLF before it. `url` comes from `unsubscribe_url`."""
    return (
        b"\r\nList-Unsubscribe: <%b>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click"
        % url.encode("ascii")
    )


def _unfit(template: Template, pattern: UrlPattern) -> list[str]:
    return [
        f"template {template.name}: MAILCASCADE_UNSUBSCRIBE_URL: {problem}"
        for problem in pattern.problems(template.variables)
    ]
