"""The commands about relays: parses their arguments and hands over to the parts."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from console.failures import CommandFailed, ExitCode, explained
from runtime.clock import SystemClock
from runtime.settings import load_settings

relay_app = typer.Typer(help="Try the relay, and learn what its words mean.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(relay_app, name="relay")


@relay_app.command()
def classify(
    reply: Annotated[str | None, typer.Argument(help="The reply, with its code.")] = None,
    phase: Annotated[
        str | None,
        typer.Option(help="Where it stood: connect, banner, ehlo, ... mail, rcpt, data, dot."),
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="Whose reply it is, such as gmail, outlook or ses.")
    ] = None,
    jsonl: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help='Answer lines {"phase", "reply", "provider"?} of a file, or of -.'
        ),
    ] = None,
) -> None:
    """Explain what a reply means: whose failure, of what kind, what is done, by which rule."""
    # Loaded here, so that other commands do not carry the delivery in their memory.
    from console.replies import ReplyDesk, phase_of  # noqa: PLC0415
    from consumers.delivery.rule_files import BrokenRules  # noqa: PLC0415
    from consumers.delivery.rulebook import RuleBook  # noqa: PLC0415

    settings = load_settings(os.environ)
    with explained(BrokenRules, code=ExitCode.WRONG_SETTING):
        desk = ReplyDesk(RuleBook.load(settings.relay_rules_file))
    if jsonl is not None:
        if (reply, phase, provider) != (None, None, None):
            raise CommandFailed("give a reply, or --jsonl, not both", ExitCode.WRONG_SETTING)
        with _lines_of(jsonl) as lines:
            raise typer.Exit(desk.answer_lines(lines, _print_at_once))
    if reply is None or phase is None:
        demand = 'give a reply and --phase, such as "550 5.1.1 no such user" --phase rcpt'
        raise CommandFailed(f"{demand}, or --jsonl", ExitCode.WRONG_SETTING)
    desk.explain(reply, phase_of(phase), provider, print)


@relay_app.command()
def check() -> None:
    """Connect to each relay: what it offers, whether TLS and login work, how it would be used."""
    # Loaded here, so that other commands do not carry the delivery in their memory.
    from console.relay_check import Usage, run_check  # noqa: PLC0415
    from consumers.delivery.outcome import Classifier  # noqa: PLC0415
    from consumers.delivery.rule_files import BrokenRules  # noqa: PLC0415
    from consumers.delivery.rulebook import RuleBook  # noqa: PLC0415
    from consumers.serve import UnfitRelay, check_relays  # noqa: PLC0415

    settings = load_settings(os.environ)
    with explained(BrokenRules, UnfitRelay, code=ExitCode.WRONG_SETTING):
        classifier = Classifier(RuleBook.load(settings.relay_rules_file))
        relays = check_relays(settings, classifier)
    usage = Usage(classifier, settings.smtp_connections, SystemClock())
    raise typer.Exit(run_check(relays, usage, print))


@contextmanager
def _lines_of(name: str) -> Iterator[Iterable[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with explained(OSError), _opened(name) as file:
        yield file


def _opened(name: str) -> IO[bytes]:
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise CommandFailed(f"{name}: {error.strerror}", ExitCode.WRONG_SETTING) from error


def _print_at_once(line: str) -> None:
    """Print a line that whoever asks in turns can read before the next question."""
    print(line, flush=True)
