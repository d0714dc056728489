"""The command: parses its arguments and hands over to the parts."""

import logging
import os
from typing import Annotated, Final

import typer

from console.doctor.finding import Part, exit_code
from console.doctor.report import report_json, report_lines
from console.failures import CommandFailed, ExitCode, explained
from retry_topics.topology import topology_of
from runtime.clock import SystemClock
from runtime.kafka.client import CLIENT_LOGGER
from runtime.settings import load_settings

_PARTS: Final = ", ".join(Part)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(doctor)


def doctor(
    only: Annotated[
        str | None, typer.Option(metavar="PART[,PART...]", help=f"Only these of: {_PARTS}.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the set-up and say what mends it. Exit code 0: all well, 1: warnings, 2: failures."""
    # Loaded here, so that other commands do not carry every part in their memory.
    from console.doctor.parts import Doctor  # noqa: PLC0415

    # What the client would log is in the findings.
    logging.getLogger(CLIENT_LOGGER).setLevel(logging.CRITICAL)
    settings = load_settings(os.environ)
    with explained(ValueError, code=ExitCode.WRONG_SETTING):
        topology = topology_of(settings)
    findings = Doctor(settings, topology, SystemClock()).examine(_named(only))
    if as_json:
        print(report_json(findings))
    else:
        print("\n".join(report_lines(findings)))
    raise typer.Exit(exit_code(findings))


def _named(only: str | None) -> frozenset[Part]:
    if only is None:
        return frozenset()
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Part)]
    if unknown or not names:
        raise CommandFailed(f"--only {only}: a part is one of {_PARTS}", ExitCode.WRONG_SETTING)
    return frozenset(Part(name) for name in names)
