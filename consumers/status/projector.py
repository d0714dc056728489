"""The projector's loop: follow the topics, write what they say, never lose and never count twice.

One thread runs it. How far it came is in the database, with what came of it, so there is nothing to
lose: whatever does not answer is asked again until it does.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from consumers.status.changes import Change, ChangeReader
from consumers.status.database import DatabaseAway
from consumers.status.sources import Sources, check_source, spans_left
from consumers.status.store import Progress, Source, Superseded, ViewStore
from consumers.status.telemetry import DATABASE, KAFKA, REGISTRY, Telemetry
from runtime.clock import Clock, Deadline
from runtime.kafka.errors import KafkaRetriable, KafkaUnreachable, TopicMissing
from runtime.kafka.follower import Followed, Follower, OffsetsLost
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span
from runtime.logs import get_logger
from runtime.pulse import Pulse
from schemas.errors import RegistryUnavailable, Undecodable

_log = get_logger("projector")

T = TypeVar("T")

#: Records that one transaction takes at most.
MOST_RECORDS: Final = 4_000
#: A view is written to at least this often, so that everybody sees that its projector lives.
BEAT_SECONDS: Final = 1.0
#: Without a beat for so long, another projector takes it for dead.
SILENCE_SECONDS: Final = 3.0
#: A beat that is older than this by the wall clock needs no watching.
_LONG_AGO_MS: Final = 30_000
#: Mails, dead letters and replay jobs that changed last before so long are removed.
KEPT_MS: Final = 30 * 86_400_000
#: Mails, or dead letters, that one transaction removes at most.
MOST_PRUNED: Final = 1_000
#: How often the topics' identities are looked at, and mails that are too old looked for.
CHECK_SECONDS: Final = 60.0
_TAKE_SECONDS: Final = 0.2
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 10.0
#: Why a follower is given up and made anew from what there is.
_BROKEN: Final = (OffsetsLost, TopicMissing, KafkaRetriable, KafkaUnreachable)


class _Stopped(Exception):
    """The projector is to end."""


@dataclass(frozen=True, slots=True)
class ProjectorParts:
    """What a projector works with. `status_key` is the operator's, if there is one."""

    store: ViewStore
    sources: Sources
    make_follower: Callable[[Mapping[Partition, Span]], Follower]
    make_reader: Callable[[bytes, Source], ChangeReader]
    telemetry: Telemetry
    pulse: Pulse
    clock: Clock
    status_key: str | None


class Projector:
    """Projects until it is stopped."""

    def __init__(self, parts: ProjectorParts, rebuild: bool) -> None:
        """`rebuild` empties the view first."""
        self._parts = parts
        self._rebuild = rebuild
        self._stop = threading.Event()
        self._positions: dict[Partition, int] = {}
        self._unwritten: dict[Partition, int] = {}
        self._source: Source | None = None
        self._beat = Deadline(parts.clock, 0)
        self._check = Deadline(parts.clock, CHECK_SECONDS)
        self._prunable = True

    def stop(self) -> None:
        """End the loop as soon as it can; callable from any thread."""
        self._stop.set()

    def run(self) -> None:
        """Project until `stop`.

        Raises:
            ViewFault: the view is not to be written to; the message says why.
            KafkaFault: Kafka refuses for good.
        """
        try:
            reader = self._begin()
            while True:
                self._follow(reader)
                self._wait(_FIRST_PAUSE)
        except _Stopped:
            self._sign_off()
        finally:
            self._parts.store.close()

    def _begin(self) -> ChangeReader:
        """Become the view's only writer; return what reads its records."""
        store = self._parts.store
        key = self._patiently(lambda: store.upgrade(self._parts.status_key, self._rebuild))
        seen = self._patiently(self._parts.sources.look)
        known = self._patiently(store.standing)
        if not self._rebuild:
            check_source(known.source, seen.source)
            spans_left(known.positions, seen.spans)
        self._watch()
        claimed = self._patiently(store.claim)
        self._patiently(lambda: store.begin(seen.source, key, self._rebuild))
        self._positions = {} if self._rebuild else dict(claimed.positions)
        self._source = seen.source
        _log.info("projector.started", rebuilt=self._rebuild, projected=bool(self._positions))
        return self._parts.make_reader(key, seen.source)

    def _watch(self) -> None:
        """Return when nobody writes to the view.

        Raises:
            Superseded: somebody does.
        """
        store, clock = self._parts.store, self._parts.clock
        first = self._patiently(store.standing)
        silence = Deadline(clock, SILENCE_SECONDS)
        last = first
        while last.holder and not silence.expired():
            beat = last.projected_at
            if beat is not None and clock.now_ms() - beat > _LONG_AGO_MS:
                return
            self._wait(_FIRST_PAUSE)
            last = self._patiently(store.standing)
            if last.sequence != first.sequence:
                raise Superseded(
                    f"another projector ({last.holder}) writes to this database; there can be "
                    "only one"
                )

    def _follow(self, reader: ChangeReader) -> None:
        """Project until the follower has to be made anew."""
        seen = self._patiently(self._parts.sources.look)
        check_source(self._source, seen.source)
        spans = spans_left(self._positions, seen.spans)
        for partition, span in spans.items():
            position = self._positions.get(partition)
            if position is not None and position < span.start:
                self._parts.telemetry.deleted_unseen(partition, span.start - position)
            if position != span.start:
                self._reached({partition: span.start})
        follower = self._parts.make_follower(spans)
        try:
            while self._is_whole(spans, follower):
                self._step(follower, reader)
        except _BROKEN as fault:
            _log.warning("projector.follows_anew", reason=str(fault))
        finally:
            follower.close()

    def _step(self, follower: Follower, reader: ChangeReader) -> None:
        self._parts.pulse.beat()
        followed = follower.take(MOST_RECORDS, _TAKE_SECONDS)
        if self._stop.is_set():
            raise _Stopped
        self._reached(followed.reached)
        if followed.records or self._beat.expired():
            self._write(followed, follower, reader)
        if self._prunable:
            self._prune()

    def _reached(self, positions: Mapping[Partition, int]) -> None:
        self._positions.update(positions)
        self._unwritten.update(positions)

    def _write(self, followed: Followed, follower: Follower, reader: ChangeReader) -> None:
        clock, telemetry = self._parts.clock, self._parts.telemetry
        began = clock.monotonic()
        changes, undecodable = self._patiently(lambda: _read(reader, followed.records))
        behind = telemetry.behind(follower.behind(), followed.records)
        progress = Progress(changes, self._unwritten, clock.now_ms(), behind)
        self._patiently(lambda: self._parts.store.write(progress))
        self._unwritten = {}
        self._beat = Deadline(clock, BEAT_SECONDS)
        if followed.records:
            telemetry.wrote(clock.monotonic() - began)
            telemetry.projected(Counter(r.topic for r in followed.records), undecodable)

    def _prune(self) -> None:
        store, before = self._parts.store, self._parts.clock.now_ms() - KEPT_MS
        mails = self._patiently(lambda: store.prune(before, MOST_PRUNED))
        letters = self._patiently(lambda: store.prune_letters(before, MOST_PRUNED))
        self._prunable = MOST_PRUNED in (mails, letters)
        self._parts.telemetry.pruned(mails)

    def _is_whole(self, spans: Mapping[Partition, Span], follower: Follower) -> bool:
        """Look, now and then, whether what is followed is still what there is."""
        if not self._check.expired() and not follower.all_down():
            return True
        seen = self._patiently(self._parts.sources.look)
        check_source(self._source, seen.source)
        self._check = Deadline(self._parts.clock, CHECK_SECONDS)
        self._prunable = True
        return seen.spans.keys() == spans.keys()

    def _sign_off(self) -> None:
        try:
            self._parts.store.sign_off()
        except (DatabaseAway, Superseded):
            # Whoever comes next has to watch for a moment, and that is all.
            _log.info("projector.not_signed_off")

    def _wait(self, seconds: float) -> None:
        self._parts.pulse.beat()
        if self._stop.wait(seconds):
            raise _Stopped

    def _patiently(self, step: Callable[[], T]) -> T:
        """Return what a step returns, however long what it needs stays away."""
        away: str | None = None
        pause = _FIRST_PAUSE
        while True:
            try:
                result = step()
            except (DatabaseAway, RegistryUnavailable, KafkaRetriable, KafkaUnreachable) as fault:
                need = _need(fault)
                if away != need:
                    self._parts.telemetry.outage(need, str(fault))
                away = need
            else:
                if away is not None:
                    self._parts.telemetry.recovered(away)
                return result
            self._wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _need(fault: Exception) -> str:
    if isinstance(fault, DatabaseAway):
        return DATABASE
    return REGISTRY if isinstance(fault, RegistryUnavailable) else KAFKA


def _read(
    reader: ChangeReader, records: Sequence[Record]
) -> tuple[list[Change], Mapping[str, int]]:
    """Return what the records say, and how many of each topic say nothing that can be read."""
    changes = []
    undecodable: Counter[str] = Counter()
    for record in records:
        try:
            change = reader.read(record)
        except Undecodable:
            undecodable[record.topic] += 1
            continue
        if change is not None:
            changes.append(change)
    return changes, undecodable
