"""What a replay would do, counted: which letters go out, and why the others do not.

A job's run begins with the same plan, so that the numbers of both are one.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from retry_topics.dlt.archive import Archive, Found, Lane
from retry_topics.dlt.cause import Group
from retry_topics.dlt.decision import Mail, Skip, Terms, decide, settled_by
from retry_topics.dlt.edit import Editor, EditRefused
from retry_topics.dlt.imported import Imported
from retry_topics.dlt.letter import Letter
from retry_topics.dlt.lookup import Lookup
from retry_topics.dlt.selection import Check, matcher
from runtime.kafka.bulk import Scanned
from runtime.kafka.partitioner import partition_of
from schemas.codec import EventCodec
from schemas.dlt_journal import Position
from schemas.errors import UnknownTemplate
from schemas.events import SignupEvent
from schemas.identity import lane_key
from schemas.privacy import address_hash
from schemas.replay_jobs import ReplayJob

#: Letters for which the ledger is asked at once; each takes some 200 bytes.
_CHUNK: Final = 200_000
_NEVER: Final = -(1 << 63)


@dataclass(slots=True)
class Choice:
    """The offsets of one lane that go out, ascending, by its journal as read up to `read_to`."""

    offsets: "array[int]"
    read_to: int

    @classmethod
    def of_lane(cls, read_to: int) -> "Choice":
        """Return a choice of nothing yet."""
        return cls(array("q"), read_to)


@dataclass(slots=True)
class Plan:
    """The numbers of a replay, and what it chose, by lane."""

    selected: int = 0
    skips: Counter[Skip] = field(default_factory=Counter)
    groups: dict[Group, Counter[Skip | None]] = field(default_factory=dict)
    lanes: dict[int, Choice] = field(default_factory=dict)

    @property
    def chosen(self) -> int:
        """How many letters go out."""
        return sum(len(choice.offsets) for choice in self.lanes.values())

    def count(self, group: Group, skip: Skip | None, times: int = 1) -> None:
        """Count letters of a group that are skipped for a reason, or go out (None)."""
        counter = self.groups.get(group)
        if counter is None:
            counter = self.groups[group] = Counter()
        counter[skip] += times
        if skip is not None:
            self.skips[skip] += times


class Outgoing:
    """What a letter is as it goes out, after any change. Shared by the plan and the run."""

    def __init__(self, editor: Editor, codec: EventCodec, imported: Imported | None) -> None:
        """`imported` are the rows of a file, where only those go out."""
        self._editor = editor if imported is None else editor.with_row(imported.event)
        self.imported = imported
        self._codec = codec
        self._known: dict[str, Mail] = {}
        self.changes = editor.edit.changes_events

    def mail(self, template: str, expires_at: int | None) -> Mail:
        """Return what the decision asks of a mail."""
        known = self._known.get(template)
        if known is None:
            known = self._known[template] = self._of(template)
        return known if expires_at is None else known._replace(expires_at=expires_at)

    def changed(
        self, message: Scanned, position: Position, now: int
    ) -> tuple[SignupEvent, SignupEvent]:
        """Return the event in a message, and what it becomes.

        Raises:
            EditRefused: what it becomes is not valid.
        """
        event = self._codec.decode(message.value or b"")
        return event, self._editor.apply(event, position, now)

    def _of(self, template: str) -> Mail:
        """Return a mail that never expires."""
        try:
            return Mail(True, self._editor.catalogue.get(template).ignores_suppression, None)
        except UnknownTemplate:
            return Mail(False, False, None)


class Planner:
    """Plans one job. Owned by one thread."""

    def __init__(self, archive: Archive, job: ReplayJob, outgoing: Outgoing, now: int) -> None:
        self._archive = archive
        self._job = job
        self._outgoing = outgoing
        self._now = now
        self._terms = Terms(job.edit.as_new, job.pace.force)
        self._lookup = Lookup(archive.log, archive.topology)

    def plan(self, told: Callable[[int], None]) -> Plan:
        """Return the plan; `told` hears, now and then, how many letters were selected.

        Raises:
            ValueError: the selection's words are wrong.
            KafkaFault: the topics cannot be read.
        """
        imported = self._outgoing.imported
        check, numbers = matcher(self._job.selection), None
        if imported is not None:
            check, numbers = _of_rows(check, imported), imported.lanes
        plan = Plan()
        for lane in self._archive.lanes(self._job.ends, numbers):
            choice = plan.lanes[lane.number] = Choice.of_lane(lane.read_to)
            chunk = _Chunk(lane)
            within = None if imported is None else imported.span(lane.number)
            for found in self._archive.found(lane, check, within):
                plan.selected += 1
                skip = self._take(found, chunk)
                if skip is not None:
                    plan.count(found.letter.group, skip)
                elif len(chunk.ids) >= _CHUNK:
                    self._decide(chunk, plan, choice)
                    chunk = _Chunk(lane)
                    told(plan.selected)
            self._decide(chunk, plan, choice)
            told(plan.selected)
        return plan

    def _take(self, found: Found, chunk: "_Chunk") -> Skip | None:
        """Add a letter to those about which the ledger is asked, or tell why it is skipped."""
        letter, standing, message = found
        skip = settled_by(letter, standing.state, self._terms)
        about = letter.about
        if skip is not None or about is None:
            return skip
        template, address, expires_at = about.template, about.address, about.expires_at
        key = letter.lane_key
        if self._outgoing.changes:
            try:
                _, event = self._outgoing.changed(message, letter.position, self._now)
            except EditRefused:
                return Skip.EDIT_REFUSED
            template, expires_at = event.template, event.expires_at
            if event.recipient.address != address:
                address = event.recipient.address
                key = lane_key(address)
        lane = partition_of(key, self._archive.topology.partitions)
        hashes = self._lookup.suppressed(lane)
        suppressed = bool(hashes) and address_hash(address) in hashes
        chunk.add(letter, lane, self._outgoing.mail(template, expires_at), suppressed)
        return None

    def _decide(self, chunk: "_Chunk", plan: Plan, choice: Choice) -> None:
        if not chunk.ids:
            return
        standings = {}
        if not self._terms.as_new:
            standings = self._lookup.standings(chunk.lanes, set(chunk.ids))
        for index, event_id in enumerate(chunk.ids):
            skip = decide(
                chunk.generations[index],
                chunk.mail(index),
                standings.get(event_id),
                bool(chunk.suppressed[index]),
                self._now,
                self._terms,
            )
            plan.count(chunk.groups[index], skip)
            if skip is None:
                choice.offsets.append(chunk.offsets[index])


def _of_rows(check: Check, imported: Imported) -> Check:
    return lambda letter, state: imported.has(letter.position) and check(letter, state)


class _Chunk:
    """Letters of one lane, kept in little memory until the ledger is asked about all of them."""

    def __init__(self, lane: Lane) -> None:
        self.lanes = {lane.number}
        self.ids: list[bytes] = []
        self.offsets = array("q")
        self.generations = array("q")
        self.suppressed = bytearray()
        self.groups: list[Group] = []
        self._expiries = array("q")
        self._mails: list[Mail] = []
        self._plain: dict[Mail, Mail] = {}

    def add(self, letter: Letter, lane: int, mail: Mail, suppressed: bool) -> None:
        if letter.about is None:
            raise ValueError("a letter that is no event is not asked about")
        self.lanes.add(lane)
        self.ids.append(letter.about.event_id)
        self.offsets.append(letter.position.offset)
        self.generations.append(letter.generation)
        self.suppressed.append(suppressed)
        self.groups.append(letter.group)
        if mail.expires_at is None:
            self._expiries.append(_NEVER)
        else:
            self._expiries.append(mail.expires_at)
            mail = mail._replace(expires_at=None)
        self._mails.append(self._plain.setdefault(mail, mail))

    def mail(self, index: int) -> Mail:
        expires_at = self._expiries[index]
        plain = self._mails[index]
        return plain if expires_at == _NEVER else plain._replace(expires_at=expires_at)


def numbers_of(plan: Plan) -> Mapping[str, int]:
    """Return a plan's numbers as a job keeps them."""
    skipped = {f"skip:{skip}": count for skip, count in sorted(plan.skips.items())}
    return {"selected": plan.selected, "chosen": plan.chosen, **skipped}
