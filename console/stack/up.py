"""The stack on fixed ports until Ctrl-C, with its addresses and a line that tells how it is."""

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

import httpx2
from rich.console import Console

from console.stack.catch import Catch
from console.stack.demo import show_part
from console.stack.kafka import Kind, Rung
from console.stack.live import LiveLine, status_line
from console.stack.plan import Ports, StackPlan, check_ports, topology
from console.stack.stack import Machine, Stack
from console.stack.watch import Watch
from console.stack.workplace import Workplace
from runtime.clock import Clock, SystemClock
from runtime.kafka.errors import KafkaFault

_LOOK_SECONDS: Final = 1.0


class WrongOption(ValueError):
    """An option has a value that cannot be used here."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What a person may choose."""

    ports: Ports
    workers: int
    tiers: str
    data_dir: Path | None


def run_up(options: UpOptions, machine: Machine, console: Console) -> Never:
    """Run until a signal's KeyboardInterrupt; raises what the stack raises."""
    rung = machine.rung
    if options.data_dir is not None and rung.kind is not Kind.JAVA:
        raise WrongOption(
            f"--data-dir keeps a Kafka run by Java, and here it is {rung.description}"
        )
    _check_ports(options.ports, rung)
    console.print(f"Kafka is {rung.description}.\n", soft_wrap=True)
    with Workplace(options.data_dir) as workplace, workplace.kept_on_failure(console):
        plan = _plan(options, workplace.directory, machine)
        with Stack(plan, machine, lambda part: show_part(console, part)) as stack:
            console.print(_welcome(plan, stack.settings_file), markup=False, soft_wrap=True)
            _look_on(stack, console, SystemClock())


def _look_on(stack: Stack, console: Console, clock: Clock) -> Never:
    """Show the line until the signal's exception ends it."""
    watch = Watch(stack.properties, stack.plan.topology, from_now=True)
    catch = Catch(stack.plan.page_url)
    try:
        with LiveLine(console, clock) as line:
            while True:
                stack.check()
                try:
                    counts = watch.look()
                    sent = catch.accepted()
                except (KafkaFault, httpx2.HTTPError) as error:
                    # Its cause is often a part that is just ending, which the next check names.
                    line.show(f"no figures: {error}")
                else:
                    line.show(status_line(counts.accepted, sent, counts.waiting, counts.dead))
                time.sleep(_LOOK_SECONDS)
    finally:
        catch.close()


def _plan(options: UpOptions, directory: Path, machine: Machine) -> StackPlan:
    settings = machine.settings
    try:
        wanted = topology(settings.topic_prefix, options.tiers, settings.partitions)
    except ValueError as error:
        raise WrongOption(f"--tiers: {error}") from error
    return StackPlan(
        directory=directory,
        ports=options.ports,
        workers=options.workers,
        topology=wanted,
        environ=machine.environ,
    )


def _check_ports(ports: Ports, rung: Rung) -> None:
    wanted = {
        "--smtp-port": ports.smtp,
        "--mail-page-port": ports.page,
        "--api-port": ports.api,
    }
    if rung.kind is not Kind.EXTERNAL:
        wanted["--kafka-port"] = ports.kafka
    check_ports(wanted)


def _welcome(plan: StackPlan, settings_file: Path) -> str:
    ask = f"MAILCASCADE_CONFIG={shlex.quote(str(settings_file))} {_own_name()} status"
    tiers = ", ".join(tier.label for tier in plan.topology.tiers)
    return f"""
  API documentation  {plan.api_url}/docs
  Caught mails       {plan.page_url}
  Logs and data      {plan.directory}

Send a mail, then look at it on the page:

  curl -i {plan.api_url}/v1/signups -H 'Content-Type: application/json' \\
    -d '{{"email": "ada@example.com", "confirm_url": "https://app.example.com/confirm?token=1"}}'

Addresses such as ada+greylist@example.com or ada+bounce@example.com are refused on purpose;
the page lists them. Retries come after {tiers}.

What became of the mails, asked in another shell; with an id behind it, one mail's whole history
(`export MAILCASCADE_CONFIG` there, and the other commands work in the same way, too):

  {ask}

Ctrl-C stops everything.
"""


def _own_name() -> str:
    """Return how this command was called, so that what is printed can be copied."""
    called = sys.argv[0]
    return shlex.quote(called) if Path(called).name == "mailcascade" else "mailcascade"
