"""Replaying dead mails: exactly what was planned, each once, whoever dies or comes in between."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from msgspec import structs

from retry_topics.dlt import jobs
from retry_topics.dlt.decision import Skip
from retry_topics.dlt.desk import Desk
from retry_topics.dlt.edit import event_fields
from retry_topics.dlt.jobs import NotNow
from retry_topics.dlt.selection import EVERYTHING
from retry_topics.dlt.states import RecordState
from retry_topics.headers import read_journey
from runtime.clock import SystemClock
from runtime.kafka.records import OutRecord
from schemas.codec import EventCodec
from schemas.identity import lane_key, mail_id
from schemas.mail_states import MailState
from schemas.privacy import address_hash
from schemas.replay_jobs import Edit, JobState, Pace, ReplayJob, Selection
from schemas.suppressions import Suppression, write_suppression
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.clock import ClockAhead
from tests.support.graveyard import CAUSES, Graveyard, graveyard
from tests.support.mailer import signup
from tests.support.processes import Command
from tests.support.wait import wait_until


@pytest.fixture
def yard(broker: BrokerAddress, topics: TopicsFactory) -> Graveyard:
    return graveyard(broker.bootstrap, topics(partitions=4))


def silent(_: object) -> None:
    """Nobody listens."""


def run(desk: Desk, job: ReplayJob, wait_ms: int = 0) -> ReplayJob:
    return desk.run(job, threading.Event(), silent, wait_ms)


def replay(
    desk: Desk, selection: Selection = EVERYTHING, edit: Edit | None = None, **pace: Any
) -> ReplayJob:
    job = desk.order(selection, edit or Edit(), Pace(**pace), "")
    return run(desk, desk.begin(job, silent).job)


def told(yard: Graveyard, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "console", "dlt", *arguments, "--json"],
        env=yard.environ(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_twenty_thousand_dead_mails_of_five_causes(yard: Graveyard) -> None:
    """The repaired cause is replayed, each mail once, though its job is killed three times.

    A second job with an overlapping selection runs at the same time and takes only what the first
    one leaves. No consumer group comes to be, and the fresh timestamps are those of the replay.
    """
    names = list(CAUSES)
    graves = yard.bury(names[number % 5] for number in range(20_000))
    wanted = {grave.event.event_id for grave in graves if grave.cause == "policy"}
    others = {grave.event.event_id for grave in graves if grave.cause == "greylisted"}
    began = SystemClock().now_ms()
    with yard.desk() as desk:
        groups = desk.groups(EVERYTHING)
        assert sorted(tally.count for tally in groups.open) == [4_000] * 5
        policy = next(t.group.fingerprint for t in groups.open if t.group.cause.rule == "policy")
        grey = next(t.group.fingerprint for t in groups.open if t.group.cause.rule == "greylisted")
        first = desk.order(Selection(groups=frozenset({policy})), Edit(), Pace(rate=1_500), "")
        first = desk.save(first, desk.plan(first, silent))
        assert first.counts == {"selected": 4_000, "chosen": 4_000}
        for killed in range(3):
            most = 600 * (killed + 1)
            with Command("dlt", "resume", first.id, environ=yard.environ()) as command:
                wait_for(desk, first.id, most)
                command.signal(9)
                assert command.exit_code() == -9
            if not killed:
                both = Selection(groups=frozenset({policy, grey}))
                second = desk.begin(desk.order(both, Edit(), Pace(), ""), silent)
                assert second.plan.skips[Skip.TAKEN] + second.plan.skips[Skip.REPLAYED] == 4_000
                assert run(desk, second.job).counts[jobs.REPLAYED] == 4_000
        report = told(yard, "resume", first.id, "--wait", "1ms")

        assert report["counts"]["replayed"] == 4_000
        assert yard.replayed_ids() == dict.fromkeys(wanted | others, 1)
        assert min(record.timestamp_ms for record in yard.replayed()) >= began
        assert yard.kafka.committed() == {}
        assert not {"mailcascade-reader", "mailcascade-follower"} & groups_of(yard)
        again = desk.plan(desk.order(EVERYTHING, Edit(), Pace(), ""), silent)
        assert again.chosen == 4_000
        assert again.skips == {
            Skip.REPLAYED: 8_000,
            Skip.UNKNOWN_TEMPLATE: 4_000,
            Skip.UNDECODABLE: 4_000,
        }


def test_two_jobs_that_begin_at_once_share_what_there_is(yard: Graveyard) -> None:
    """Whatever is selected by both is replayed by one of them."""
    graves = yard.bury(["policy"] * 2_000)

    def one(_: int) -> ReplayJob:
        with yard.desk() as desk:
            return replay(desk)

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(one, range(3)))

    assert sum(job.counts[jobs.REPLAYED] for job in done) == 2_000
    assert yard.replayed_ids() == dict.fromkeys((grave.event.event_id for grave in graves), 1)


def test_a_job_is_taken_over_only_after_a_minute_of_silence(yard: Graveyard) -> None:
    """The old owner, which was taken for dead, finds out and writes nothing more."""
    yard.bury(["policy"] * 400)
    stop = threading.Event()
    later = ClockAhead(jobs.SILENCE_MS)
    with yard.desk("first") as one, yard.desk("second") as two, yard.desk("3", (), later) as three:
        job = one.begin(one.order(EVERYTHING, Edit(), Pace(rate=100), ""), silent).job
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(one.run, job, stop, silent, 0)
            wait_for(two, job.id, 25)
            with pytest.raises(NotNow, match="first runs it"):
                run(two, two.job(job.id))
            stop.set()
            assert running.result(20).state is JobState.PAUSED
            stop.clear()
            running = pool.submit(one.run, job, stop, silent, 0)
            wait_until(lambda: two.job(job.id).owner == "first", 20)
            paused = run(three, three.job(job.id))
            with pytest.raises(NotNow, match="taken over"):
                running.result(20)

    assert paused.counts[jobs.REPLAYED] == len(yard.replayed()) == 400
    assert set(yard.replayed_ids().values()) == {1}


def test_every_reason_to_skip_is_told_and_the_run_does_what_the_plan_said(yard: Graveyard) -> None:
    """Sent, cancelled, expired, suppressed, under way, unknown to the catalogue, undecodable."""
    now = SystemClock().now_ms()
    fine = yard.bury(["policy"] * 3)
    forgotten = yard.bury(["policy"], state=None)
    for state in (MailState.SENT, MailState.CANCELLED, MailState.RETRY, MailState.SUPPRESSED):
        yard.bury(["policy"], state=state)
    yard.bury(["policy"], event=lambda _: signup("old@example.com", expires_at=now - 1))
    yard.bury(["policy"], event=lambda _: signup("no-more@example.com"))
    yard.bury(["template", "junk"])
    suppress(yard, "no-more@example.com")
    with yard.desk() as desk:
        job = desk.order(EVERYTHING, Edit(), Pace(), "")
        plan = desk.plan(job, silent)
        samples = desk.samples(job, plan)
        done = run(desk, desk.begin(desk.save(job, plan), silent).job)

        assert plan.skips == {
            Skip.SENT: 1,
            Skip.CANCELLED: 1,
            Skip.UNDER_WAY: 1,
            Skip.SUPPRESSED: 2,
            Skip.EXPIRED: 1,
            Skip.UNKNOWN_TEMPLATE: 1,
            Skip.UNDECODABLE: 1,
        }
        assert len(samples) == plan.chosen == 4
        assert jobs.skips_of(done) == plan.skips
        assert done.counts[jobs.REPLAYED] == plan.chosen
        ids = {grave.event.event_id for grave in [*fine, *forgotten]}
        assert yard.replayed_ids() == dict.fromkeys(ids, 1)


def test_what_became_of_mails_since_is_told_while_no_job_runs(yard: Graveyard) -> None:
    """Of those that were replayed, and of those that were cancelled without this tool."""
    sent, died, _ = (grave.event for grave in yard.bury(["policy"] * 3))
    yard.bury(["policy"], state=MailState.CANCELLED)
    with yard.desk() as desk:
        done = replay(desk)
        assert states_of(desk) == {RecordState.REPLAYED: 3, RecordState.ENDED: 1}
        yard.kafka.write(
            [yard.ledger(sent, MailState.SENT, 1), yard.ledger(died, MailState.DEAD, 1)]
        )
        assert states_of(desk) == {
            RecordState.SENT: 1,
            RecordState.DEAD_AGAIN: 1,
            RecordState.REPLAYED: 1,
            RecordState.ENDED: 1,
        }
        (listed,) = desk.letters(Selection(states=frozenset({"dead_again"})), 5)
        assert listed.letter.about is not None
        assert listed.letter.about.event_id == died.event_id.bytes
        counts = desk.by_now(desk.job(done.id)).counts
        assert (counts[jobs.SENT], counts[jobs.DEAD_AGAIN]) == (1, 1)
        assert desk.job(done.id).counts[jobs.SENT] == 0


def test_what_dies_after_the_plan_is_not_the_plan_s_business(yard: Graveyard) -> None:
    """A saved plan runs as it was told, and new failures stay visible as open."""
    yard.bury(["policy"] * 5)
    with yard.desk() as desk:
        job = desk.order(EVERYTHING, Edit(), Pace(), "")
        job = desk.save(job, desk.plan(job, silent))
        yard.bury(["policy"] * 7)
        done = run(desk, desk.begin(desk.job(job.id), silent).job)

        assert done.counts[jobs.REPLAYED] == 5
        (tally,) = desk.groups(EVERYTHING).open
        assert tally.count == 7


def test_a_paused_job_keeps_what_it_claimed_until_it_is_cancelled(yard: Graveyard) -> None:
    """Then what it had not replayed is open again."""
    yard.bury(["policy"] * 10)
    stop = threading.Event()
    stop.set()
    with yard.desk() as desk:
        job = desk.begin(desk.order(EVERYTHING, Edit(), Pace(), ""), silent).job
        paused = desk.run(job, stop, silent, 0)

        assert (paused.state, paused.owner) == (JobState.PAUSED, "")
        assert states_of(desk) == {RecordState.TAKEN: 10}
        assert desk.discard(EVERYTHING, "not mine") == (0, 10)
        desk.cancel(desk.job(job.id))
        assert states_of(desk) == {RecordState.OPEN: 10}
        with pytest.raises(NotNow, match="begin a new replay"):
            run(desk, desk.job(job.id))


def test_a_changed_mail_is_checked_and_its_original_stays(yard: Graveyard) -> None:
    """The main topic gets other bytes, the dead-letter topic keeps its own."""
    (grave,) = yard.bury(["policy"])
    before = yard.kafka.read(yard.topology.dlt)
    source = "def transform(event):\n    return {**event, 'locale': 'de'}\n"
    with yard.desk() as desk:
        edit = Edit(data={"confirm_url": "https://example.com/new"}, transform=source)
        replay(desk, edit=edit)
    (record,) = yard.replayed()

    changed = EventCodec(None).decode(record.value or b"")
    assert changed == structs.replace(
        grave.event, locale="de", data={"confirm_url": "https://example.com/new"}
    )
    assert read_journey(record.headers).generation == 1
    assert yard.kafka.read(yard.topology.dlt) == before


def test_as_a_new_mail_also_what_was_sent_goes_out(yard: Graveyard) -> None:
    """With an id of its own, so that no worker takes it for the old one."""
    (grave,) = yard.bury(["policy"], state=MailState.SENT)
    with yard.desk() as desk:
        assert replay(desk).counts.get(jobs.REPLAYED, 0) == 0
        replay(desk, edit=Edit(as_new=True))
    (record,) = yard.replayed()

    event = EventCodec(None).decode(record.value or b"")
    assert event.event_id != grave.event.event_id
    assert event.recipient == grave.event.recipient
    assert dict(record.headers)["ce_id"] == str(event.event_id).encode()
    assert read_journey(record.headers).generation == 0
    with yard.desk() as desk:
        assert states_of(desk) == {RecordState.REPLAYED: 1}
        yard.kafka.write([yard.ledger(event, MailState.DEAD)])
        assert states_of(desk) == {RecordState.DEAD_AGAIN: 1}


def test_undecodable_records_are_listed_shown_and_discarded(yard: Graveyard) -> None:
    """In hexadecimal, and with who settled them and why."""
    yard.bury(["junk"])
    (listed,) = told(yard, "list")
    shown = told(yard, "show", listed["position"])

    assert (listed["state"], listed["id"]) == ("open", None)
    assert shown["value_hex"] == b"\xffjunk".hex()
    with yard.desk() as desk:
        assert desk.discard(EVERYTHING, "garbage") == (1, 1)
        assert states_of(desk) == {RecordState.DISCARDED: 1}
        assert replay(desk).counts[f"skip:{Skip.DISCARDED}"] == 1


def test_one_record_is_shown_whole(yard: Graveyard) -> None:
    """By its mail's id or its position; what is personal only where that is asked for."""
    (grave,) = yard.bury(["greylisted"])
    event = grave.event
    name = mail_id(event.event_id, lane_key(event.recipient.address))
    (hidden,) = told(yard, "show", name)
    shown = told(yard, "show", hidden["position"], "--reveal")

    assert event.recipient.address not in json.dumps(hidden)
    assert event.recipient.address in shown["text"]
    assert shown["event"] == event_fields(event)
    assert [attempt["code"] for attempt in shown["attempts"]] == [451] * 4
    assert (shown["ledger"], shown["state"]) == ("dead", "open")


def groups_of(yard: Graveyard) -> set[str]:
    """Return the consumer groups of the cluster."""
    admin = AdminClient({"bootstrap.servers": yard.kafka.bootstrap})
    return {group.group_id for group in admin.list_consumer_groups().result(20).valid}


def wait_for(desk: Desk, job: str, replayed: int) -> None:
    """Return when a job has replayed so many."""
    wait_until(lambda: desk.job(job).counts.get(jobs.REPLAYED, 0) >= replayed, 30)


def states_of(desk: Desk) -> dict[RecordState, int]:
    groups = desk.groups(EVERYTHING)
    found: dict[RecordState, int] = {}
    for tally in [*groups.open, *groups.settled]:
        for state, count in tally.states.items():
            found[state] = found.get(state, 0) + count
    return found


def suppress(yard: Graveyard, address: str) -> None:
    value = write_suppression(Suppression(lane_key(address), "n***@example.com", 1))
    lane = yard.lane(signup(address))
    yard.kafka.write(
        [OutRecord(yard.topology.suppressions, address_hash(address), value, (), lane)]
    )
