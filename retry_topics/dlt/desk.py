"""What operators can do with dead-lettered mails; commands and HTTP are thin layers over this.

A replay is three steps: `order` describes it, `plan` counts what it would do, and `begin` plans,
claims and returns what `run` then runs. `save` keeps an order for later, under its id.
"""

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple
from zlib import crc32

from retry_topics.dlt import jobs
from retry_topics.dlt.archive import Archive, Found
from retry_topics.dlt.claims import Claims
from retry_topics.dlt.edit import Editor, EditRefused, load_transform
from retry_topics.dlt.grouping import Groups
from retry_topics.dlt.imported import read_imported, row_records
from retry_topics.dlt.importing import BadRow, Row, RowChecker
from retry_topics.dlt.jobs import NotNow
from retry_topics.dlt.journal import MakeTransactions, Pen, Scribe, claims_id, job_transactions_id
from retry_topics.dlt.letter import Letter
from retry_topics.dlt.lookup import Lookup
from retry_topics.dlt.outcomes import Outcomes
from retry_topics.dlt.plan import Choice, Outgoing, Plan, Planner
from retry_topics.dlt.present import Known, Present
from retry_topics.dlt.progress import load
from retry_topics.dlt.runner import Runner, RunnerParts
from retry_topics.dlt.selection import matcher
from retry_topics.dlt.states import RecordState
from runtime.clock import Clock
from runtime.kafka.records import OutRecord
from runtime.tracing import Tracer
from schemas.catalogue import Catalogue
from schemas.dlt_journal import NO_EVENT, DltEntry, EntryState, Position, parse_position
from schemas.events import SignupEvent
from schemas.identity import parse_mail_id
from schemas.ledger import Standing as LedgerStanding
from schemas.replay_jobs import ENDED, Edit, JobState, Pace, ReplayJob, Selection

_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Operator:
    """Who works here: a person's name, and the process, which no other process has the name of.

    `is_gone` tells of a process' name whether that has ended for certain. `new_id` makes ids of
    jobs: short, of lower-case letters, digits and hyphens. The `tracer` makes traces of replays.
    """

    by: str
    process: str
    is_gone: Callable[[str], bool]
    new_id: Callable[[], str]
    tracer: Tracer | None = None


class Sample(NamedTuple):
    """A letter that would go out: its event, and what it becomes where that is something else."""

    letter: Letter
    event: SignupEvent
    changed: SignupEvent | None


@dataclass(frozen=True, slots=True)
class Begun:
    """A job that has claimed its letters, and the plan that it begins with."""

    job: ReplayJob
    plan: Plan

    @property
    def got(self) -> int:
        """How many letters are the job's; others took the rest of what was chosen meanwhile."""
        return self.job.counts[jobs.CHOSEN]


class Desk:
    """Reads, plans, runs and settles. Owned by one thread; every call may raise a `KafkaFault`.

    Wrong words in a selection raise `ValueError`, a transformation that cannot be used
    `BadTransform`, and what a job's state does not allow `NotNow`.
    """

    def __init__(
        self,
        archive: Archive,
        make: MakeTransactions,
        catalogue: Catalogue,
        clock: Clock,
        operator: Operator,
    ) -> None:
        self.archive = archive
        self._make = make
        self._catalogue = catalogue
        self._clock = clock
        self._operator = operator

    def groups(self, selection: Selection) -> Groups:
        """Count what is selected by what it died of."""
        groups = Groups()
        groups.count(Present(self.archive).letters(selection))
        return groups

    def letters(self, selection: Selection, limit: int) -> list[Known]:
        """Return what is selected, at most so many, the newest first."""
        return heapq.nlargest(limit, Present(self.archive).letters(selection), key=_age)

    def each(self, selection: Selection) -> Iterator[Found]:
        """Yield what is selected whole, each lane's in the order of the topic.

        What it is, is told by the journal alone.
        """
        check = matcher(selection)
        for shelf in self.archive.shelves():
            yield from self.archive.found(shelf, check)

    def find(self, text: str) -> list[Found]:
        """Return the letter at a position, or every letter of a mail by its id, newest first.

        Raises:
            ValueError: the text is neither.
        """
        if ":" in text:
            one = self.archive.at(parse_position(text))
            found = [] if one is None else [one]
        else:
            parse_mail_id(text)
            found = sorted(self.each(Selection(mails=frozenset({text}))), key=_age, reverse=True)
        known = Present(self.archive).of([Known(one.letter, one.standing) for one in found])
        return [
            one._replace(standing=present.standing)
            for one, present in zip(found, known, strict=True)
        ]

    def standing(self, letter: Letter) -> LedgerStanding | None:
        """Return the ledger's last word on a letter's mail; None where it knows nothing of it."""
        if letter.about is None:
            return None
        event_id = letter.about.event_id
        lookup = Lookup(self.archive.log, self.archive.topology)
        return lookup.standings([letter.position.partition], {event_id}).get(event_id)

    def order(self, selection: Selection, edit: Edit, pace: Pace, reason: str) -> ReplayJob:
        """Return a replay of what is selected and there at this moment; nothing is written."""
        now = self._clock.now_ms()
        return ReplayJob(
            id=self._operator.new_id(),
            state=JobState.PLANNED,
            by=self._operator.by,
            reason=reason,
            created_at=now,
            owner="",
            beat_at=now,
            note="",
            selection=selection,
            ends=self.archive.ends(),
            edit=edit,
            pace=pace,
            counts={},
        )

    def plan(self, job: ReplayJob, told: Callable[[int], None]) -> Plan:
        """Count what a job would do; `told` hears now and then how many letters were selected."""
        planner = Planner(self.archive, job, self._outgoing(job), self._clock.now_ms())
        return planner.plan(told)

    def samples(self, job: ReplayJob, plan: Plan) -> list[Sample]:
        """Return some of the letters that would go out, from all lanes."""
        outgoing, now = self._outgoing(job), self._clock.now_ms()
        samples = []
        for position in _spread(plan, _SAMPLES):
            for letter, message in self.archive.letters({position.partition: [position.offset]}):
                try:
                    event, changed = outgoing.changed(message, position, now)
                except EditRefused:
                    continue
                samples.append(Sample(letter, event, None if changed == event else changed))
        return samples

    def save(self, job: ReplayJob, plan: Plan) -> ReplayJob:
        """Keep a job that was planned, so that `begin` can run it later; return it."""
        job = jobs.planned(job, plan)
        self._write(job)
        return job

    def take_rows(self, job: ReplayJob, rows: Iterable[Row | BadRow]) -> ReplayJob:
        """Check a file's rows for a job from `order`, keep them and the job, and return it.

        It replays those rows only, each as it says. All rows are checked before anything is
        written, in one step.

        Raises:
            ImportRefused: rows are wrong.
        """
        job = replace(job, edit=replace(job.edit, imported=True))
        checker = RowChecker(self.archive, self._editor(job), self._clock.now_ms())
        checked = checker.check(rows)
        scribe = Scribe(self.archive.topology, self.archive.topic_id)
        self._write(job, *row_records(scribe, job.id, checked.lanes))
        return job

    def begin(self, job: ReplayJob, told: Callable[[int], None]) -> Begun:
        """Plan a job that is new or saved, and make what it chose its own; then `run` runs it."""
        if job.state is not JobState.PLANNED:
            raise NotNow(f"{job.id}: is {job.state}, it has begun already")
        plan = self.plan(job, told)
        job = jobs.run_by(jobs.planned(job, plan), self._operator.process, self._clock.now_ms())
        return Begun(self._claims().claim(job, plan.lanes), plan)

    def run(
        self,
        job: ReplayJob,
        stop: threading.Event,
        told: Callable[[ReplayJob], None],
        wait_ms: int,
    ) -> ReplayJob:
        """Run a job that has begun, from where it is; return it as it is then.

        It pauses once `stop` is set. `told` hears of each step; after the last replay outcomes are
        waited for, for `wait_ms` at most.
        """
        parts = RunnerParts(
            archive=self.archive,
            pen=self._pen(job),
            outgoing=self._outgoing(job),
            clock=self._clock,
            stop=stop,
            told=told,
            is_gone=self._operator.is_gone,
            wait_ms=wait_ms,
            tracer=self._operator.tracer,
        )
        return Runner(parts, job, self._operator.process).run()

    def cancel(self, job: ReplayJob) -> ReplayJob:
        """Call a job off: what it has not replayed is open again. Return it as it is then.

        One that was called off before is tidied up, and nothing more.
        """
        if job.state is not JobState.CANCELLED:
            jobs.takeable(job, self._clock.now_ms(), self._operator.is_gone(job.owner))
        pen = self._pen(job)
        try:
            pen.take()
            scribe = Scribe(self.archive.topology, self.archive.topic_id)
            job = self.job(job.id)
            if job.state in ENDED and job.state is not JobState.CANCELLED:
                raise NotNow(f"{job.id}: is {job.state}")
            note = job.note if job.state is JobState.CANCELLED else f"by {self._operator.by}"
            job = jobs.put_down(job, JobState.CANCELLED, note, self._clock.now_ms())
            releases = [
                scribe.release(key, lane.number)
                for shelf in self.archive.shelves()
                for lane in shelf.values()
                for key in lane.states.claims(job.id)
            ]
            if job.edit.imported:
                releases += read_imported(self.archive, job.id).releases(scribe)
            pen.write([scribe.job(job), *releases])
        finally:
            pen.put_down()
        return job

    def discard(self, selection: Selection, reason: str) -> tuple[int, int]:
        """Settle what is selected and open without a replay; return how many, of how many.

        What is held is left to `mailcascade held`, what a job has taken to the job.
        """
        check = matcher(selection)
        lanes: dict[int, Choice] = {}
        selected = 0
        for shelf in self.archive.shelves():
            lanes.update({lane.number: Choice.of_lane(lane.read_to) for lane in shelf.values()})
            for letter, standing, _ in self.archive.found(shelf, check):
                selected += 1
                if standing.state is RecordState.OPEN:
                    partition, offset = letter.position
                    lanes[partition].offsets.append(offset)
        now, by = self._clock.now_ms(), self._operator.by
        entry = DltEntry(EntryState.DISCARDED, 0, "", NO_EVENT, now, by, reason)
        return self._claims().discard(entry, lanes), selected

    def jobs(self) -> list[ReplayJob]:
        """Return every job, the newest first."""
        return sorted(self.archive.jobs().values(), key=lambda job: -job.created_at)

    def job(self, name: str) -> ReplayJob:
        """Return a job.

        Raises:
            NotNow: there is none of this id.
        """
        job = self.archive.job(name)
        if job is None:
            raise NotNow(f"{name}: there is no such job; `mailcascade dlt jobs` lists them")
        return job

    def by_now(self, job: ReplayJob) -> ReplayJob:
        """Return a job with what came of its mails since it was put down; nothing is written."""
        if job.state is not JobState.WAITING:
            return job
        progress, outcomes = load(self.archive, job.id), Outcomes()
        for event_id, awaited in progress.awaited.items():
            outcomes.expect(event_id, awaited)
        lookup = Lookup(self.archive.log, self.archive.topology)
        lanes = range(self.archive.topology.partitions)
        for event_id, word in lookup.standings(lanes, progress.awaited).items():
            outcomes.hear(event_id, word)
        note = jobs.waits_for(outcomes.open) if outcomes.open else "every outcome is known"
        return replace(jobs.counted(job, progress.numbers(outcomes)), note=note)

    def _outgoing(self, job: ReplayJob) -> Outgoing:
        imported = read_imported(self.archive, job.id) if job.edit.imported else None
        return Outgoing(self._editor(job), self.archive.codec, imported)

    def _editor(self, job: ReplayJob) -> Editor:
        source = job.edit.transform
        transform = None if source is None else load_transform(source, "the transformation")
        return Editor(job.edit, self._catalogue, transform, job.id)

    def _pen(self, job: ReplayJob) -> Pen:
        name = job_transactions_id(self.archive.topology, job.id)
        return Pen(self._make, name, self._clock)

    def _claims(self) -> Claims:
        pen = Pen(self._make, claims_id(self.archive.topology), self._clock)
        return Claims(self.archive, pen, self._pause)

    def _pause(self, number: int) -> None:
        """Wait a little before claiming again, one process longer than another."""
        spread = crc32(f"{self._operator.process}/{number}".encode()) % 100 / 100
        threading.Event().wait(min(2.0, 0.1 * number) * (0.5 + spread))

    def _write(self, job: ReplayJob, *records: OutRecord) -> None:
        pen = self._pen(job)
        try:
            pen.take()
            scribe = Scribe(self.archive.topology, self.archive.topic_id)
            pen.write([*records, scribe.job(job)])
        finally:
            pen.put_down()


def _age(found: Known | Found) -> tuple[int, Position]:
    return found.letter.at, found.letter.position


def _spread(plan: Plan, count: int) -> list[Position]:
    """Return positions that the plan chose, far apart."""
    total = plan.chosen
    few = min(count, total)
    wanted = {total * number // few for number in range(few)}
    positions, before = [], 0
    for lane, choice in sorted(plan.lanes.items()):
        positions += [
            Position(lane, choice.offsets[index - before])
            for index in sorted(wanted)
            if before <= index < before + len(choice.offsets)
        ]
        before += len(choice.offsets)
    return positions
