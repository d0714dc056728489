"""`mailcascade template preview`: a template's mail as a recipient would get it."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer

from console.failures import CommandFailed, ExitCode, explained
from runtime.clock import SystemClock
from runtime.settings import Settings, load_settings
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.errors import BrokenCatalogue, UnknownTemplate
from schemas.events import Recipient, SignupEvent

Print = Callable[[str], None]

_WRONG: Final = ExitCode.WRONG_SETTING
_RECIPIENT: Final = Recipient("ada@example.com", "Ada Lovelace")
_EVENT_ID: Final = UUID(int=0)

template_app = typer.Typer(help="Look at the mail templates.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(template_app, name="template")


@template_app.command()
def preview(
    name: Annotated[str, typer.Argument(help="The template's name.")],
    locale: Annotated[str, typer.Option(help="The locale to write in.")] = "en",
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A variable's value; once for each variable."),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Write the HTML to a file instead, for a browser.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where --html writes; NAME.LOCALE.html by default."),
    ] = None,
) -> None:
    """Show a template's mail with these values: headers and text, or its HTML in a file."""
    if output is not None and not html:
        raise CommandFailed("--output is for --html", _WRONG)
    request = PreviewRequest(name, locale, values_of(data or ()))
    shown = Preview.of(request, load_settings(os.environ), SystemClock().now_ms())
    if not html:
        shown.show(print)
        return
    path = output or Path(f"{name}.{shown.locale}.html")
    try:
        path.write_text(shown.html, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}", _WRONG) from error
    print(path.resolve().as_uri())


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """What to show: a template, the locale that is wanted, its variables."""

    name: str
    locale: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Preview:
    """A mail to look at. `locale` is the one that it is written in.

    Signatures are left out, so that nobody needs the keys to look at a mail.
    """

    name: str
    locale: str
    bounces_to: str
    mail: EmailMessage

    @classmethod
    def of(cls, request: PreviewRequest, settings: Settings, now: int) -> "Preview":
        """Compose the mail as a worker would.

        Raises:
            CommandFailed: there is no such template, or the values do not fit it.
        """
        # Loaded here, so that other commands do not carry the delivery in their memory.
        from consumers.delivery.compose import Composer  # noqa: PLC0415
        from consumers.delivery.letterhead import UnfitLetterhead, letterhead_of  # noqa: PLC0415
        from consumers.delivery.render import Unrenderable  # noqa: PLC0415

        errors = (BrokenCatalogue, UnknownTemplate, Unrenderable, UnfitLetterhead)
        with explained(*errors, code=_WRONG):
            catalogue = Catalogue.load(settings.templates_dir or DEFAULT_DIRECTORY)
            locale = catalogue.get(request.name).locale_for(request.locale)
            composer = Composer(catalogue, letterhead_of(settings))
            message = composer.compose(_event(request, now), generation=0)
        mail = message_from_bytes(message.content, policy=policy.default)
        return cls(request.name, locale, message.envelope_from, mail)

    @property
    def html(self) -> str:
        """The HTML alternative, empty where there is none."""
        return self._part("html")

    def show(self, show: Print) -> None:
        """Show the headers as a reader sees them, and the text."""
        show(f"[{self.name}, written in {self.locale}]")
        show(f"Return-Path: <{self.bounces_to}>")
        for header, value in self.mail.items():
            show(f"{header}: {value}")
        show("")
        show(self._part("plain").rstrip("\n"))

    def _part(self, kind: str) -> str:
        part = self.mail.get_body(preferencelist=(kind,))
        return "" if part is None else str(part.get_content())


def values_of(pairs: Sequence[str]) -> dict[str, str]:
    """Read variables' values, each written as NAME=VALUE.

    Raises:
        CommandFailed: one is not, or a variable has two values.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise CommandFailed(f"--data {pair}: must be NAME=VALUE", _WRONG)
        if name in values:
            raise CommandFailed(f"--data {name}: has two values", _WRONG)
        values[name] = value
    return values


def _event(request: PreviewRequest, now: int) -> SignupEvent:
    return SignupEvent(
        event_id=_EVENT_ID,
        occurred_at=now,
        template=request.name,
        recipient=_RECIPIENT,
        locale=request.locale,
        data=request.values,
        tenant="preview",
    )
