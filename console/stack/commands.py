"""`mailcascade up` and `mailcascade demo`: their options, and their failures in words."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Never

import typer
from rich.console import Console

from console.failures import ExitCode, explained
from console.stack.demo import DemoSize, run_demo
from console.stack.interrupts import Interrupts
from console.stack.kafka import (
    BrokerFailed,
    JarsUnavailable,
    NoBroker,
    choose_rung,
    machine_probes,
)
from console.stack.plan import Ports, PortTaken, kafka_environ
from console.stack.signups import MIN_SIGNUPS
from console.stack.stack import Machine, StackFailed
from console.stack.up import UpOptions, WrongOption, run_up
from consumers.status.reader import StatusUnavailable
from runtime.kafka.errors import KafkaFault
from runtime.logs import configure_logs
from runtime.settings import load_settings


def _port(help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(min=1, max=65535, help=help_text)
    return option


def demo(
    signups: Annotated[
        int, typer.Option(min=MIN_SIGNUPS, max=999, help="How many people sign up.")
    ] = 200,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Worker processes.")] = 2,
) -> int:
    """Post 200 signups to the whole pipeline and show what becomes of them.

    Starts a Kafka, a mail server that catches mails, the API, the workers and
    the projector on free ports of this machine, and stops all of it in the end.
    Some recipients are refused for a while, or for ever, to show the retries.

    Exit codes: 0 nothing was lost, 1 something was, or did not work, 130 Ctrl-C.

    A Kafka named by MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS is used instead of an own
    one. The topics that the demo creates there have names of their own, and stay.
    """
    size = DemoSize(signups, workers)
    return _explained(lambda machine, console: run_demo(size, machine, console), interrupted=130)


def up(  # noqa: PLR0913 - each parameter is an option of the command
    kafka_port: Annotated[int, _port("Kafka's port.")] = 29092,
    smtp_port: Annotated[int, _port("The mail catcher's SMTP port.")] = 2525,
    mail_page_port: Annotated[int, _port("The port of the page with the caught mails.")] = 8025,
    api_port: Annotated[int, _port("The API's port.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Worker processes.")] = 2,
    tiers: Annotated[
        str, typer.Option(help="Delays of the retries, ascending, such as 2s,4s,8s.")
    ] = "",
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Keep Kafka's data here for the next time; without it, it is gone in the end.",
            file_okay=False,
        ),
    ] = None,
) -> int:
    """Run the whole pipeline on this machine until Ctrl-C.

    Starts a Kafka, a mail server that catches mails, the API, the workers and
    the projector; prints their addresses, how to ask what became of a mail, and
    then one line that tells how many mails are accepted, sent, waiting and
    dead-lettered. No mail leaves this machine.

    Other settings, such as MAILCASCADE_TEMPLATES_DIR, are passed on to the parts.
    A Kafka named by MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS is used instead of an own.
    """
    ports = Ports(kafka_port, smtp_port, mail_page_port, api_port)

    def run(machine: Machine, console: Console) -> Never:
        labels = tiers or ",".join(machine.settings.tiers)
        run_up(UpOptions(ports, workers, labels, data_dir), machine, console)

    return _explained(run, interrupted=ExitCode.OK)


def _explained(run: Callable[[Machine, Console], int], *, interrupted: int) -> int:
    """Run and return the exit code; `interrupted` is the one after a signal."""
    # What the parts have to say is in their own logs; here only what is wrong would be of interest.
    configure_logs("error", sys.stderr)
    console = Console(highlight=False)
    settings = load_settings(os.environ)
    environ = dict(os.environ)
    with (
        explained(NoBroker, JarsUnavailable, BrokerFailed, StackFailed, PortTaken, KafkaFault),
        explained(StatusUnavailable),
        explained(WrongOption, code=ExitCode.WRONG_SETTING),
        Interrupts() as interrupts,
    ):
        try:
            rung = choose_rung(kafka_environ(environ, settings), machine_probes(environ))
            return run(Machine(rung, settings, environ, interrupts), console)
        except KeyboardInterrupt:
            console.print("\nInterrupted. Everything that was started has been stopped.")
            return interrupted
