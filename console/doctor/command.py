"""The command: parses its arguments and hands over to the parts."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from console.doctor.acl_commands import Need, acl_json, acl_lines, principal_of
from console.doctor.finding import Part, exit_code
from console.doctor.grants import Role, grants_of
from console.doctor.report import report_json, report_lines
from console.failures import CommandFailed, ExitCode, explained
from retry_topics.topology import Topology, topology_of
from runtime.clock import SystemClock
from runtime.kafka.client import CLIENT_LOGGER
from runtime.settings import Settings, load_settings

_PARTS: Final = ", ".join(Part)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(doctor)


def doctor(
    only: Annotated[
        str | None, typer.Option(metavar="PART[,PART...]", help=f"Only these of: {_PARTS}.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    role: Annotated[
        Role | None, typer.Option(help="Whose ACLs to print or, without --acls, to ask for.")
    ] = None,
    acls: Annotated[
        bool, typer.Option("--acls", help="Print the ACLs that are needed, and check nothing.")
    ] = False,
    principal: Annotated[
        str | None, typer.Option(help="Who is to have the ACLs, such as User:mail.")
    ] = None,
) -> None:
    """Check the set-up and say what mends it. Exit code 0: all well, 1: warnings, 2: failures."""
    # Loaded here, so that other commands do not carry every part in their memory.
    from console.doctor.parts import Doctor  # noqa: PLC0415

    settings = load_settings(os.environ)
    with explained(ValueError, code=ExitCode.WRONG_SETTING):
        topology = topology_of(settings)
    if acls:
        _print_acls(settings, topology, role, (principal, as_json))
        return
    with _client_kept_quiet():
        findings = Doctor(settings, topology, SystemClock(), role).examine(_named(only))
    if as_json:
        print(report_json(findings))
    else:
        print("\n".join(report_lines(findings)))
    raise typer.Exit(exit_code(findings))


def _print_acls(
    settings: Settings, topology: Topology, role: Role | None, how: tuple[str | None, bool]
) -> None:
    principal, as_json = how
    operators = settings.operator_keys_file is not None
    needs = [
        Need(one, principal or principal_of(one), grants_of(one, topology, operators=operators))
        for one in ([role] if role else Role)
    ]
    lines = acl_lines(needs, settings.kafka_bootstrap_servers)
    print(acl_json(needs) if as_json else "\n".join(lines))


@contextmanager
def _client_kept_quiet() -> Iterator[None]:
    """Log nothing of what the Kafka client says: it is in the findings."""
    logger = logging.getLogger(CLIENT_LOGGER)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _named(only: str | None) -> frozenset[Part]:
    if only is None:
        return frozenset()
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Part)]
    if unknown or not names:
        raise CommandFailed(f"--only {only}: a part is one of {_PARTS}", ExitCode.WRONG_SETTING)
    return frozenset(Part(name) for name in names)
