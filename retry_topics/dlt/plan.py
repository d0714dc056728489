"""What a replay would do, counted: which letters go out, and why the others do not.

A job's run begins with the same plan, so that the numbers of both are one.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from retry_topics.dlt.archive import SHELF, Archive, Found
from retry_topics.dlt.cause import Group
from retry_topics.dlt.decision import Mail, Skip, Terms, decide, settled_by
from retry_topics.dlt.edit import Editor, EditRefused
from retry_topics.dlt.imported import Imported
from retry_topics.dlt.lookup import Lookup
from retry_topics.dlt.selection import Check, matcher
from runtime.kafka.partitioner import partition_of
from runtime.kafka.sweep import Scanned
from schemas.codec import EventCodec
from schemas.dlt_journal import Position
from schemas.errors import UnknownTemplate
from schemas.events import SignupEvent
from schemas.identity import lane_key
from schemas.ledger import Standing
from schemas.privacy import address_hash
from schemas.replay_jobs import ReplayJob

#: Letters for which the ledger is asked at once; each takes some 300 bytes.
_CHUNK: Final = SHELF


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
        check, within = matcher(self._job.selection), None
        if imported is not None:
            check, within = _of_rows(check, imported), imported.spans()
        plan = Plan()
        for shelf in self._archive.shelves(self._job.ends, within):
            plan.lanes.update({n: Choice.of_lane(lane.read_to) for n, lane in shelf.items()})
            chunk: _Chunk = []
            for found in self._archive.found(shelf, check, within):
                plan.selected += 1
                asked = self._asked(found)
                if isinstance(asked, Skip):
                    plan.count(found.letter.group, asked)
                    continue
                chunk.append(asked)
                if len(chunk) >= _CHUNK:
                    self._decide(chunk, plan)
                    chunk = []
                    told(plan.selected)
            self._decide(chunk, plan)
            told(plan.selected)
        return plan

    def _asked(self, found: Found) -> "_Asked | Skip":
        """Return what the ledger is asked about a letter, or why it is skipped before that."""
        letter, standing, message = found
        skip = settled_by(letter, standing.state, self._terms)
        about = letter.about
        if skip is not None:
            return skip
        if about is None:
            return Skip.UNDECODABLE
        event_id, template, address, _, expires_at = about
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
        mail = self._outgoing.mail(template, expires_at)
        return event_id, letter.position, lane, (letter.generation, mail, suppressed), letter.group

    def _decide(self, chunk: "_Chunk", plan: Plan) -> None:
        """Ask the ledger about letters, and count what it says."""
        if not chunk:
            return
        standings: Mapping[bytes, Standing] = {}
        if not self._terms.as_new:
            lanes = {lane for asked in chunk for lane in (asked[1].partition, asked[2])}
            standings = self._lookup.standings(lanes, {asked[0] for asked in chunk})
        # Most are alike.
        known: dict[tuple[_Case, Standing | None], Skip | None] = {}
        for event_id, (number, offset), _, case, group in chunk:
            standing = standings.get(event_id)
            try:
                skip = known[case, standing]
            except KeyError:
                generation, mail, suppressed = case
                skip = decide(generation, mail, standing, suppressed, self._now, self._terms)
                known[case, standing] = skip
            plan.count(group, skip)
            if skip is None:
                plan.lanes[number].offsets.append(offset)


#: What a decision depends on besides the ledger: generation, mail, whether it is suppressed.
_Case: TypeAlias = tuple[int, Mail, bool]
#: A letter about which the ledger is asked, with the lane that its mail goes to.
_Asked: TypeAlias = tuple[bytes, Position, int, _Case, Group]
_Chunk: TypeAlias = list[_Asked]


def _of_rows(check: Check, imported: Imported) -> Check:
    return lambda letter, state: imported.has(letter.position) and check(letter, state)


def numbers_of(plan: Plan) -> Mapping[str, int]:
    """Return a plan's numbers as a job keeps them."""
    skipped = {f"skip:{skip}": count for skip, count in sorted(plan.skips.items())}
    return {"selected": plan.selected, "chosen": plan.chosen, **skipped}
