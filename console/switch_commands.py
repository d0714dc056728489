"""The commands that pause and resume: parses their arguments and hands over to the parts.

The parts are loaded by the command that needs them, so that a worker does not carry them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from console.failures import ExitCode, explained
from console.operator import Order, operator_of
from retry_topics.topology import parse_tiers, topology_of
from runtime.clock import SystemClock
from runtime.kafka.errors import KafkaFault
from runtime.settings import Settings, load_settings
from schemas.switches import SwitchKind

if TYPE_CHECKING:
    from console.switches import Known, SwitchDesk

Kind = Annotated[SwitchKind, typer.Argument(help="What it is.")]
What = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which one; none for all.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(pause)
    app.command()(resume)
    app.command()(switches)


def pause(
    kind: Kind,
    what: What = None,
    reason: Annotated[
        str, typer.Option(help="Why, for other operators; tenants do not see it.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also a template or relay that is not known here.")
    ] = False,
) -> None:
    """Keep a template's, a tenant's, a tier's, a relay's or all mails back until `resume`."""
    settings = load_settings(os.environ)
    key = _known(settings, kind).key(kind, what, force=force)
    with _desk(settings, reason) as desk:
        desk.pause(key, print)


def resume(
    kind: Kind,
    what: What = None,
    reason: Annotated[str, typer.Option(help="Why, for other operators.")] = "",
) -> None:
    """Let what is paused be sent again."""
    with _desk(load_settings(os.environ), reason) as desk:
        desk.resume(kind, what, print)


def switches(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is paused, since when, by whom and why."""
    with _desk(load_settings(os.environ)) as desk:
        desk.show(as_json, print)


def _known(settings: Settings, kind: SwitchKind) -> "Known":
    """Return the names of a kind that the settings know."""
    from console.switches import Known  # noqa: PLC0415

    match kind:
        case SwitchKind.TIER:
            return Known({kind: [tier.label for tier in parse_tiers(",".join(settings.tiers))]})
        case SwitchKind.RELAY:
            from consumers.delivery.endpoint import InvalidRelayUrl, parse_relays  # noqa: PLC0415
            from consumers.delivery.relays import relay_name  # noqa: PLC0415

            with explained(InvalidRelayUrl, code=ExitCode.WRONG_SETTING):
                relays = parse_relays(settings.smtp_url.get_secret_value())
            return Known({kind: list(map(relay_name, relays))})
        case SwitchKind.TEMPLATE:
            from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue  # noqa: PLC0415
            from schemas.errors import BrokenCatalogue  # noqa: PLC0415

            with explained(BrokenCatalogue, code=ExitCode.WRONG_SETTING):
                catalogue = Catalogue.load(settings.templates_dir or DEFAULT_DIRECTORY)
            return Known({kind: catalogue.names})
        case _:
            return Known({})


@contextmanager
def _desk(settings: Settings, reason: str = "") -> Iterator["SwitchDesk"]:
    from console.cluster import KafkaCluster  # noqa: PLC0415
    from console.switches import SwitchDesk  # noqa: PLC0415

    clock = SystemClock()
    order = Order(operator_of(os.environ), clock.now_ms(), reason)
    with explained(KafkaFault), KafkaCluster(settings, clock) as cluster:
        yield SwitchDesk(cluster, topology_of(settings), order)
