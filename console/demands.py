"""Writes what an operator asks of the workers to the control topic: cancel, discard, suppress."""

from collections.abc import Sequence

from console.cluster import Cluster
from console.operator import NamedMail, Order
from runtime.kafka.records import OutRecord
from schemas.control import ControlAction, ControlCommand, write_command
from schemas.identity import lane_key


class Demands:
    """The control topic, for one order."""

    def __init__(self, cluster: Cluster, topic: str, order: Order) -> None:
        self._cluster = cluster
        self._topic = topic
        self._order = order

    def cancel(self, mails: Sequence[NamedMail]) -> None:
        """Ask that mails are not sent."""
        self._about_mails(ControlAction.CANCEL, mails)

    def discard(self, mails: Sequence[NamedMail]) -> None:
        """Ask that mails which wait for a person are over for good."""
        self._about_mails(ControlAction.DISCARD, mails)

    def suppress(self, addresses: Sequence[str]) -> None:
        """Ask that recipients get no more mail; the addresses are in their normal form."""
        self._about_recipients(ControlAction.SUPPRESS, addresses)

    def unsuppress(self, addresses: Sequence[str]) -> None:
        """Ask that recipients get mail again."""
        self._about_recipients(ControlAction.UNSUPPRESS, addresses)

    def _about_mails(self, action: ControlAction, mails: Sequence[NamedMail]) -> None:
        self._write(
            [(mail.lane_key, self._command(action, event_id=str(mail.event_id))) for mail in mails]
        )

    def _about_recipients(self, action: ControlAction, addresses: Sequence[str]) -> None:
        self._write(
            [(lane_key(address), self._command(action, address=address)) for address in addresses]
        )

    def _command(
        self, action: ControlAction, event_id: str | None = None, address: str | None = None
    ) -> ControlCommand:
        at, by, reason = self._order.at, self._order.by, self._order.reason
        return ControlCommand(action, at, event_id, address, by=by, reason=reason)

    def _write(self, commands: Sequence[tuple[bytes, ControlCommand]]) -> None:
        self._cluster.write(
            [OutRecord(self._topic, key, write_command(command), ()) for key, command in commands]
        )
