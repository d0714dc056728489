"""The commands about mails and recipients: parses their arguments and hands over to the parts.

The parts are loaded by the command that needs them, so that a worker does not carry them.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from console.failures import CommandFailed, ExitCode, explained
from console.operator import Order, named_mails, named_recipient, operator_of
from retry_topics.topology import Topology, topology_of
from runtime.clock import SystemClock
from runtime.kafka.errors import KafkaFault
from runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from console.cluster import KafkaCluster
    from console.demands import Demands
    from console.held import HeldDesk
    from consumers.status.reader import StatusReader

_MOST_LISTED: Final = 10_000

held_app = typer.Typer(help="Mails that wait for a person's decision.", no_args_is_help=True)
suppressions_app = typer.Typer(help="Recipients that get no more mail.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids as the API gave them out.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever asks later.")]
Limit = Annotated[int, typer.Option(min=1, max=_MOST_LISTED, help="The most mails to show.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(status)
    app.command()(trace)
    app.command()(cancel)
    app.command()(suppress)
    app.command()(unsuppress)
    app.command()(erase)
    app.add_typer(suppressions_app, name="suppressions")
    app.add_typer(held_app, name="held")


def status(  # noqa: PLR0913 - a parameter for each option
    mail: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A mail's id; without one, a list.")
    ] = None,
    recipient: Annotated[str | None, typer.Option(help="Only mails to this address.")] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="Only mails in these states, such as retry,dead.")
    ] = None,
    template: Annotated[str | None, typer.Option(help="Only mails of this template.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Accepted since: RFC 3339, or how long ago, such as 2h.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Accepted before: the same.")] = None,
    limit: Limit = 20,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Count dead letters by state and replay job.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell where a mail is and what became of it, or list mails, newest first."""
    from console.mails import Desk, instant_of, states_of  # noqa: PLC0415
    from consumers.status.reader import StatusQuery  # noqa: PLC0415

    settings = load_settings(os.environ)
    now = SystemClock().now_ms()
    filters = (recipient, state, template, since, until)
    listed = any(given is not None for given in filters)
    if sum((mail is not None, listed, dead_letters)) > 1:
        demand = "give an id, or what to list, or --dead-letters, not both"
        raise CommandFailed(demand, ExitCode.WRONG_SETTING)
    with _view(settings) as view:
        desk = Desk(view, len(settings.tiers), now)
        if mail is not None:
            (named,) = named_mails([mail])
            desk.show_mail(named, as_json, print)
            return
        if dead_letters:
            desk.show_letters(as_json, print)
            return
        query = StatusQuery(
            states=states_of(state or []),
            template=template,
            recipient=None if recipient is None else named_recipient(recipient),
            since=None if since is None else instant_of(since, now),
            until=None if until is None else instant_of(until, now),
            limit=limit,
        )
        desk.show_mails(query, as_json, print)


def trace(
    mail: Annotated[str, typer.Argument(metavar="ID", help="A mail's id, as the API gave it out.")],
    since: Annotated[
        str | None,
        typer.Option(help="Look only at what was written since: RFC 3339, or such as 2h."),
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show addresses as they are.")] = False,
    as_json: Json = False,
) -> None:
    """Tell the story of a mail as a timeline, from Kafka alone: no status view is needed."""
    from console.mails import instant_of  # noqa: PLC0415
    from console.trace import teller_of  # noqa: PLC0415

    settings, clock = load_settings(os.environ), SystemClock()
    (named,) = named_mails([mail])
    begin = None if since is None else instant_of(since, clock.now_ms())
    with explained(KafkaFault):
        teller = teller_of(settings, clock, begin)
        teller.tell(named, reveal=reveal, as_json=as_json, show=print)


def cancel(mails: Ids, reason: Reason = "") -> None:
    """Ask that mails which were accepted are not sent."""
    from console import mails as desk  # noqa: PLC0415

    named = named_mails(mails)
    with _at_work(reason) as work:
        desk.cancel(work.demands(), named, print)


def suppress(
    address: Annotated[str | None, typer.Argument(help="The recipient's address.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A file with one address a line, or what `suppressions --json` printed."),
    ] = None,
    reason: Reason = "",
) -> None:
    """Ask that a recipient, or every one in a file, gets no more mail."""
    from console import suppressions as parts  # noqa: PLC0415

    if (address is None) == (file is None):
        raise CommandFailed("give an address, or --file", ExitCode.WRONG_SETTING)
    with _at_work(reason) as work:
        if file is not None:
            parts.suppress_file(work.demands(), work.cluster, work.topology, file, print)
        elif address is not None:
            parts.suppress(work.demands(), address, print)


def unsuppress(
    address: Annotated[str, typer.Argument(help="The recipient's address.")], reason: Reason = ""
) -> None:
    """Ask that a recipient gets mail again."""
    from console import suppressions as parts  # noqa: PLC0415

    with _at_work(reason) as work:
        parts.unsuppress(work.demands(), address, print)


@suppressions_app.callback(invoke_without_command=True)
def suppressions(context: typer.Context, as_json: Json = False) -> None:
    """Show the recipients that get no more mail, masked."""
    if context.invoked_subcommand is not None:
        return
    from console import suppressions as parts  # noqa: PLC0415

    with _at_work() as work:
        parts.show_suppressions(work.cluster, work.topology, as_json, print)


@suppressions_app.command("relocate")
def suppressions_relocate() -> None:
    """Move suppressions to the lanes of today's number of partitions, while no worker runs."""
    from console import suppressions as parts  # noqa: PLC0415

    with _at_work() as work:
        parts.relocate(work.cluster, work.topology, print)


@held_app.command("list")
def held_list(limit: Limit = 100, as_json: Json = False) -> None:
    """Show the mails that wait for a person."""
    from console.held import held_json, held_lines  # noqa: PLC0415

    with _held_desk("") as desk:
        mails, remark = desk.list(limit)
    if as_json:
        print(held_json(mails))
    else:
        print("\n".join(held_lines(mails)))
    if remark:
        print(remark, file=sys.stderr)


@held_app.command("release")
def held_release(
    mails: Ids,
    reason: Reason = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also mails of which nothing tells if they are held.")
    ] = False,
) -> None:
    """Send held mails after all; a copy may have been delivered before."""
    named = named_mails(mails)
    with _held_desk(reason) as desk:
        desk.release(named, force, print)


@held_app.command("discard")
def held_discard(mails: Ids, reason: Reason = "") -> None:
    """Let held mails be over for good, unsent."""
    named = named_mails(mails)
    with _held_desk(reason) as desk:
        desk.discard(named, print)


def erase(
    address: Annotated[str, typer.Argument(help="The person's address.")], as_json: Json = False
) -> None:
    """Remove a person's mails from the status view, and tell what remains and until when."""
    from console.erasure import look, show_report  # noqa: PLC0415
    from consumers.status import erasure  # noqa: PLC0415
    from consumers.status.reader import StatusUnavailable, view_url  # noqa: PLC0415

    recipient = named_recipient(address)
    with _at_work() as work, explained(StatusUnavailable):
        key = work.settings.status_key
        secret = None if key is None else key.get_secret_value()
        erased = erasure.erase(view_url(work.settings), secret, recipient)
        report = look(work.cluster, work.topology, erased, recipient)
    if code := show_report(report, as_json, print):
        raise typer.Exit(code)


class _Work:
    """What a command that talks to Kafka works with."""

    def __init__(self, settings: Settings, cluster: "KafkaCluster", order: Order) -> None:
        self.settings = settings
        self.topology: Topology = topology_of(settings)
        self.cluster = cluster
        self.order = order

    def demands(self) -> "Demands":
        """Return the control topic, for this order."""
        from console.demands import Demands  # noqa: PLC0415

        return Demands(self.cluster, self.topology.control, self.order)


@contextmanager
def _at_work(reason: str = "") -> Iterator[_Work]:
    from console.cluster import KafkaCluster  # noqa: PLC0415

    settings = load_settings(os.environ)
    clock = SystemClock()
    order = Order(operator_of(os.environ), clock.now_ms(), reason)
    with explained(KafkaFault), KafkaCluster(settings, clock) as cluster:
        yield _Work(settings, cluster, order)


@contextmanager
def _held_desk(reason: str) -> Iterator["HeldDesk"]:
    from console.held import HeldDesk  # noqa: PLC0415

    with _at_work(reason) as work, _view(work.settings) as view:
        yield HeldDesk(view, work.cluster, work.topology, work.order)


@contextmanager
def _view(settings: Settings) -> Iterator["StatusReader"]:
    from consumers.status.reader import StatusReader, StatusUnavailable, view_url  # noqa: PLC0415

    key = settings.status_key
    secret = None if key is None else key.get_secret_value()
    reader = StatusReader(view_url(settings), secret, topology_of(settings).tiers)
    try:
        yield reader
    except StatusUnavailable as error:
        where = f"\nit is looked for in {reader.place} (MAILCASCADE_DATABASE_URL)"
        raise CommandFailed(f"{error}{where if reader.place else ''}") from error
    finally:
        reader.close()
