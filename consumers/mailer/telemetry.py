"""What a worker shows of itself: one method for each thing worth counting.

Every method may be called from any thread, but for what happens to each mail: that is added up in
plain numbers, `taken_up` by the poll thread, `attempted` and `accepted` by the event loop.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage
from consumers.delivery.figures import RelayFigures
from consumers.mailer.census import Census, count
from consumers.mailer.committer import Batch
from consumers.mailer.lanes import Lane
from retry_topics.failure import Accepted, Failure, Outcome
from retry_topics.topology import Topology
from runtime.kafka.connection import Connection
from runtime.kafka.records import Record
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.tally import Tally
from schemas.events import SignupEvent
from schemas.mail_states import MailState
from schemas.privacy import mask_addresses
from schemas.switches import Switches, SwitchKind

_log = get_logger("mailer")

_COMMITTED: Final = "committed"
_ABORTED: Final = "aborted"
_DLT: Final = "dlt"
_SINCE: Final = "mailcascade_breaker_open_since_seconds"
#: Breakers with a series of their own; thousands of domains can be out.
_MOST_SHOWN: Final = 20


class Telemetry:
    """Owns the handles of its metrics, and what is added up between two looks."""

    def __init__(self, metrics: Metrics, topology: Topology) -> None:
        self._metrics = metrics
        self._topology = topology
        self._read = {
            kind: metrics.counter("mailcascade_records_read_total", topic_kind=kind)
            for kind in ("main", "retry", "control")
        }
        self._dropped = metrics.counter("mailcascade_records_dropped_total")
        self._recovered = metrics.counter("mailcascade_journal_recovered_total")
        self._accepted = metrics.counter(
            "mailcascade_outcomes_total", outcome="accepted", scope="", kind="", phase="", rule=""
        )
        #: Attempts that the relay accepted, and how many of them are shown.
        self._taken_by_relay = 0
        self._shown_accepted = 0
        self._showing = threading.Lock()
        self._delivery = metrics.tally("mailcascade_delivery_seconds")
        self._end_to_end = metrics.tally("mailcascade_end_to_end_seconds")
        self._overshoot = metrics.tally("mailcascade_due_overshoot_seconds")
        metrics.before_each_look(self._show_accepted)
        self._in_flight = metrics.gauge("mailcascade_deliveries_in_flight")
        self._commit_seconds = metrics.histogram("mailcascade_commit_seconds")
        self._commit_records = metrics.histogram("mailcascade_commit_records")
        self._outage = metrics.gauge("mailcascade_outage_open")
        self._lanes = metrics.gauge("mailcascade_lanes_owned")
        self._out: set[tuple[Blame, str]] = set()
        #: The rule that each breaker with a series is shown under.
        self._shown: dict[tuple[Blame, str], str] = {}
        self._show_what_may_happen()
        self._off = {
            kind: metrics.gauge("mailcascade_switches_off", kind=kind) for kind in SwitchKind
        }
        for kind in Blame:
            metrics.gauge("mailcascade_breakers_open", kind=kind).set(0)

    def _show_what_may_happen(self) -> None:
        """Begin at 0: Prometheus takes the first value that it sees of a counter for no growth."""
        counter = self._metrics.counter
        for state in set(MailState) - {MailState.QUEUED}:
            counter("mailcascade_states_total", state=state)
        for destination in (*(tier.label for tier in self._topology.tiers), _DLT):
            counter("mailcascade_forwards_total", destination=destination)
        for result in (_COMMITTED, _ABORTED):
            counter("mailcascade_commits_total", result=result)
        for change in ("assigned", "revoked", "lost"):
            counter("mailcascade_rebalances_total", change=change)

    def watch(self, figures: Callable[[], Sequence[RelayFigures]]) -> None:
        """Show how each relay stands, whenever somebody looks."""

        def replies() -> Iterator[tuple[Mapping[str, str], Tally]]:
            for each in figures():
                for step, tally in each.spent.items():
                    yield {"relay": each.relay, "step": step}, tally

        self._metrics.tallied("mailcascade_relay_reply_seconds", replies)
        self._metrics.before_each_look(lambda: self._show(figures()))

    def watch_lanes(self, lanes: Callable[[], Iterable[Lane]]) -> None:
        """Show what the lanes hold, whenever somebody looks."""
        self._metrics.before_each_look(lambda: self._show_census(count(lanes())))

    def watch_connection(self, connection: Connection) -> None:
        """Show whether a broker is connected."""
        gauge = self._metrics.gauge("mailcascade_kafka_outage_open")
        gauge.set_function(lambda: 0 if connection.connected else 1)

    def restored(self, seconds: float, entries: int) -> None:
        """Count a lane's ledger that is there, and what was read for it."""
        self._metrics.histogram("mailcascade_restore_seconds").observe(seconds)
        self._metrics.counter("mailcascade_restored_entries_total").inc(entries)

    def _show(self, figures: Sequence[RelayFigures]) -> None:
        for each in figures:
            pool, gauge = each.pool, partial(self._metrics.gauge, relay=each.relay)
            for state, number in (("busy", pool.busy), ("idle", pool.idle)):
                gauge("mailcascade_relay_connections", state=state).set(number)
            gauge("mailcascade_relay_connections", state="opening").set(pool.opening)
            gauge("mailcascade_relay_connection_limit", kind="setting").set(pool.most)
            gauge("mailcascade_relay_connection_limit", kind="adaptive").set(pool.limit)
            gauge("mailcascade_relay_waiting_mails", wait="connection").set(pool.waiting)
            gauge("mailcascade_relay_waiting_mails", wait="rate").set(each.paced)

    def _show_census(self, census: Census) -> None:
        self._metrics.gauge("mailcascade_ledger_entries").set(census.entries)
        self._metrics.gauge("mailcascade_ledger_bytes").set(census.bytes)
        self._metrics.gauge("mailcascade_lanes_restoring").set(census.restoring)
        since = "mailcascade_restoring_since_seconds"
        if census.waits_since is None:
            self._metrics.forget(since)
        else:
            self._metrics.gauge(since).set(census.waits_since / 1000)

    def read(self, records: Sequence[Record]) -> None:
        """Count records as they come from Kafka."""
        topics = Counter([record.topic for record in records])
        main, control = topics[self._topology.main], topics[self._topology.control]
        self._read["main"].inc(main)
        self._read["control"].inc(control)
        self._read["retry"].inc(len(records) - main - control)

    def taken_up(self, overshoot_ms: int) -> None:
        """Count a waiting record that begins this long after it was due."""
        self._overshoot.add(max(0, overshoot_ms) / 1000)

    def in_flight(self, number: int) -> None:
        """Show how many records are in the engine's hands."""
        self._in_flight.set(number)

    def attempted(self, outcome: Outcome, seconds: float) -> None:
        """Count what came of handing one mail to the relay."""
        self._delivery.add(seconds)
        if isinstance(outcome, Accepted):
            self._taken_by_relay += 1
            return
        scope, kind, phase, rule = "message", "ambiguous", "dot", ""
        if isinstance(outcome, Failure):
            scope, kind, phase, rule = outcome.scope, outcome.kind, outcome.phase, outcome.rule
        self._metrics.counter(
            "mailcascade_outcomes_total",
            outcome="failure" if isinstance(outcome, Failure) else "ambiguous",
            scope=scope,
            kind=kind,
            phase=phase,
            rule=rule,
        ).inc()

    def _show_accepted(self) -> None:
        with self._showing:
            number = self._taken_by_relay
            self._accepted.inc(number - self._shown_accepted)
            self._shown_accepted = number

    def accepted(self, event: SignupEvent, generation: int, now: int) -> None:
        """Count how long after its time the relay took a mail, unless that is a replay.

        A mail's time is its not_before or when it came about; a replay's is a person's affair.
        """
        if generation == 0:
            late_ms = now - max(event.occurred_at, event.not_before or 0)
            self._end_to_end.add(max(0, late_ms) / 1000)

    def dropped(self) -> None:
        """Count a record that the ledger knows to be a repeat."""
        self._dropped.inc()

    def recovered(self) -> None:
        """Count a mail that a journal knows to be sent, so that it was not sent again."""
        self._recovered.inc()

    def expired(self, template: str) -> None:
        """Count a mail whose time was over."""
        self._metrics.counter("mailcascade_expired_total", template=template).inc()

    def committed(self, batches: Sequence[Batch], seconds: float, counted: bool) -> None:
        """Count a transaction and, if it counted, what it carried."""
        result = _COMMITTED if counted else _ABORTED
        self._metrics.counter("mailcascade_commits_total", result=result).inc()
        self._commit_seconds.observe(seconds)
        if not counted:
            return
        self._commit_records.observe(sum(len(batch.completions) for batch in batches))
        done = [completion for batch in batches for completion in batch.completions]
        for topic, number in Counter([r.topic for c in done for r in c.records]).items():
            self._written(topic, number)
        changes = [c.change.standing.state for c in done if c.change is not None]
        for state, number in Counter(changes).items():
            self._metrics.counter("mailcascade_states_total", state=state).inc(number)

    def rebalanced(self, change: str, lanes: int) -> None:
        """Count a change of the assignment, after which this many lanes are ours."""
        self._metrics.counter("mailcascade_rebalances_total", change=change).inc()
        self._lanes.set(lanes)
        _log.info(f"lanes.{change}", lanes=lanes)

    def put_off(self, kind: str) -> None:
        """Count a mail that waits in the tiers for something that is out, or for an operator."""
        self._metrics.counter("mailcascade_put_off_total", kind=kind).inc()

    def out(self, kind: Blame, name: str, outage: Outage | None) -> None:
        """Show what went out (with the reason) or is back."""
        key = kind, name
        if (rule := self._shown.pop(key, None)) is not None:
            self._metrics.forget(_SINCE, kind=kind, what=mask_addresses(name), rule=rule)
        if outage is None:
            self._out.discard(key)
            _log.info(f"{kind}.recovered", name=name)
        else:
            self._out.add(key)
            self._tell(key, outage)
        self._metrics.gauge("mailcascade_breakers_open", kind=kind).set(
            sum(known is kind for known, _ in self._out)
        )

    def paused_by(self, outage: Callable[[], Outage | None]) -> None:
        """Show whether no mail can go out, as `outage` tells whenever the metrics are read."""
        self._outage.set_function(lambda: 0 if outage() is None else 1)

    def switched(self, before: Switches, after: Switches) -> None:
        """Show what operators have paused, and log what they turned."""
        for kind, gauge in self._off.items():
            gauge.set(len(after.names(kind)))
        for switch in after:
            if before.off.get(switch.key) != switch:
                key, said = switch.key, {"by": switch.by, "reason": switch.reason}
                _log.warning("switch.paused", kind=key.kind, name=key.what, **said)
        for key in before.off.keys() - after.off.keys():
            _log.info("switch.resumed", kind=key.kind, name=key.what)

    def _tell(self, key: tuple[Blame, str], outage: Outage) -> None:
        kind, name = key
        failure = outage.failure
        if len(self._shown) < _MOST_SHOWN:
            self._shown[key] = failure.rule
            what = mask_addresses(name)
            gauge = self._metrics.gauge(_SINCE, kind=kind, what=what, rule=failure.rule)
            gauge.set(outage.since / 1000)
        _log.error(
            f"{kind}.outage",
            name=name,
            since=outage.since,
            scope=failure.scope,
            kind=failure.kind,
            phase=failure.phase,
            code=failure.code,
            rule=failure.rule,
            text=failure.text,
        )

    def _written(self, topic: str, number: int) -> None:
        if topic in (self._topology.ledger, self._topology.suppressions):
            return
        tier = self._topology.tier_of(topic)
        destination = tier.label if tier else _DLT
        self._metrics.counter("mailcascade_forwards_total", destination=destination).inc(number)
