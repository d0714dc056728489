"""What operators have paused, as the view keeps it, and which mails wait for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, and_, delete, insert, or_, select

from consumers.status.outages import may_wait
from consumers.status.tables import SWITCHES, storable
from retry_topics.ladder import ladder, stay_ends
from retry_topics.topology import Tier
from schemas.mail_states import MailState
from schemas.outages import KnownOutage
from schemas.switches import (
    EVERYTHING,
    SWITCHED_OFF,
    Switch,
    Switches,
    SwitchKey,
    SwitchKind,
    paused_reason,
)

if TYPE_CHECKING:
    from consumers.status.reader import MailStatus

#: What the ledger says of mails that were put off for an operator.
PUT_OFF: Final = frozenset({paused_reason(SwitchKind.TEMPLATE), paused_reason(SwitchKind.TENANT)})
#: An entry is so much younger, in milliseconds, than the due time that was reckoned for it.
_RECKONING_MS: Final = 50


def keep_switches(connection: Connection, turned: Mapping[SwitchKey, Switch | None]) -> None:
    """Put what was turned in the place of what was there."""
    these = (
        and_(SWITCHES.c.kind == key.kind.value, SWITCHES.c.what == storable(key.what))
        for key in turned
    )
    connection.execute(delete(SWITCHES).where(or_(*these)))
    rows = [
        {
            "kind": key.kind.value,
            "what": storable(key.what),
            "since": switch.since,
            "by": storable(switch.by),
            "reason": storable(switch.reason),
        }
        for key, switch in turned.items()
        if switch is not None
    ]
    if rows:
        connection.execute(insert(SWITCHES), rows)


def read_switches(connection: Connection) -> Switches:
    """Return everything that is paused."""
    off = {}
    for row in connection.execute(select(SWITCHES)):
        key = SwitchKey(SwitchKind(row.kind), row.what)
        off[key] = Switch(key, row.since, row.by, row.reason)
    return Switches(off)


@dataclass(frozen=True, slots=True)
class Pauses:
    """What is paused, and the `tiers` in which mails may wait; without them nobody knows that."""

    switches: Switches
    tiers: Sequence[Tier]

    def told_of(self, mail: "MailStatus", out: Sequence[KnownOutage], now: int) -> "MailStatus":
        """Return a mail with what it waits for: what is `out` in its lane, and an operator."""
        switch = self._switch(mail, now)
        if not may_wait(mail.state, mail.due_at, now):
            return replace(mail, paused=switch)
        relays = [each for each in out if each.rule == SWITCHED_OFF]
        if switch is None and relays:
            key = SwitchKey(SwitchKind.RELAY, relays[0].what)
            switch = self.switches.off.get(key, Switch(key, relays[0].since))
        others = tuple(each for each in out if each.rule != SWITCHED_OFF)
        return replace(mail, waits_for=others, paused=switch)

    def _switch(self, mail: "MailStatus", now: int) -> Switch | None:
        """Return what keeps a mail from its turn, the widest first; None: nothing does."""
        switches = self.switches
        if not switches:
            return None
        has_turn = may_wait(mail.state, mail.due_at, now)
        if has_turn and EVERYTHING in switches.off:
            return switches.off[EVERYTHING]
        if has_turn or (mail.state is MailState.SCHEDULED and mail.reason in PUT_OFF):
            found = switches.puts_off(mail.template, mail.tenant)
            if found is not None:
                return found
        return self._tier_switch(mail, now)

    def _tier_switch(self, mail: "MailStatus", now: int) -> Switch | None:
        """Return what keeps a mail in its tier although its stay there is over."""
        waits = mail.state in (MailState.RETRY, MailState.SCHEDULED)
        if not self.tiers or not waits or mail.due_at is None:
            return None
        tier = ladder(mail.updated_at - _RECKONING_MS, mail.due_at, self.tiers)
        over = stay_ends(mail.updated_at, mail.due_at, tier) <= now
        return self.switches.off.get(SwitchKey(SwitchKind.TIER, tier.label)) if over else None
