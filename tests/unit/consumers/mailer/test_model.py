"""The worker as a whole: whatever happens in whatever order, each mail ends once and is sent once.

The worker's own parts run against a Kafka, a relay, a disk and a clock in memory; crashes,
rebalances, repeats, demands, replays and pauses come in random order.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Final
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consumers.mailer.committer import STUCK_SECONDS, Batch, Ownership
from consumers.mailer.ledger.judge import Verdict
from consumers.mailer.ledger.lane import LaneLedger
from runtime.clock import Deadline
from runtime.kafka.records import Partition
from schemas.control import ControlAction
from schemas.events import Recipient, SignupEvent
from schemas.switches import EVERYTHING, SwitchKey, SwitchKind
from tests.support.simulated_host import Host, LaneMemory
from tests.support.simulated_kafka import Fate
from tests.support.simulated_relay import Answer
from tests.support.simulated_worker import SteppedCommitter, Worker
from tests.support.simulation import ADDRESSES, HOLD, LANES, PLAIN, SECURITY, Mail, Violation, World
from tests.support.simulation_checks import check_end, check_send

MAIN: Final = Partition("t", 0)
TENANTS: Final = ("acme", "zoo")
#: Worker names and the hosts that they run on: two siblings, and one elsewhere.
HOSTS: Final = {"a": 0, "b": 0, "c": 1}
_SETTINGS: Final = settings(
    max_examples=250,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)

SWITCHES: Final = (
    EVERYTHING,
    SwitchKey(SwitchKind.RELAY, "relay"),
    SwitchKey(SwitchKind.TIER, "1m"),
    SwitchKey(SwitchKind.TENANT, TENANTS[0]),
    SwitchKey(SwitchKind.TEMPLATE, PLAIN),
)
numbers = st.integers(0, 1_000)
answers = st.sampled_from(list(Answer))
seconds = st.sampled_from((0.5, 5, 30, 90, 700))


class Mails(RuleBasedStateMachine):
    """Everything that may happen to a pipeline."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World([], lambda mail, worker: check_send(self.world, mail, worker))

    @initialize(journals=st.booleans())
    def begin(self, journals: bool) -> None:
        """One worker has all lanes."""
        self.world.hosts = [Host(journals), Host(journals)]
        self.world.start("a", 0)

    @rule(
        address=st.sampled_from(ADDRESSES),
        template=st.sampled_from((PLAIN, PLAIN, HOLD, SECURITY)),
        tenant=st.sampled_from(TENANTS),
        begins=st.none() | seconds,
        ends=st.none() | seconds,
    )
    def post(
        self, address: str, template: str, tenant: str, begins: float | None, ends: float | None
    ) -> None:
        """An event is accepted; it may have to wait, and it may expire."""
        now = self.world.clock.now_ms()
        self.world.post(
            SignupEvent(
                UUID(int=len(self.world.mails) + 1),
                now,
                template,
                Recipient(address),
                "en",
                {},
                tenant,
                None if begins is None else now + round(begins * 1000),
                None if ends is None else now + round(ends * 1000),
            )
        )

    @precondition(lambda self: self.world.mails)
    @rule(which=numbers)
    def repeat(self, which: int) -> None:
        """A client repeats a request with its Idempotency-Key."""
        self.world.post(self._mail(which).event)

    @precondition(lambda self: self.world.mails)
    @rule(which=numbers, tenant=st.sampled_from(("", *TENANTS)))
    def cancel(self, which: int, tenant: str) -> None:
        """Somebody cancels a mail: its tenant, another one, or the operator."""
        self.world.demand(self._mail(which), ControlAction.CANCEL, tenant)

    @precondition(lambda self: self.world.mails)
    @rule(which=numbers)
    def discard(self, which: int) -> None:
        """The operator lets go of a mail for good."""
        self.world.demand(self._mail(which), ControlAction.DISCARD, "")

    @rule(
        address=st.sampled_from(ADDRESSES),
        action=st.sampled_from((ControlAction.SUPPRESS, ControlAction.UNSUPPRESS)),
    )
    def suppress(self, address: str, action: ControlAction) -> None:
        """A recipient is to get no more mail, or to get it again."""
        self.world.suppress(address, action)

    @precondition(lambda self: self.world.parked())
    @rule(which=numbers)
    def replay(self, which: int) -> None:
        """A dead or held mail runs again; perhaps for the second time, perhaps long afterwards."""
        parked = self.world.parked()
        self.world.replay(*parked[which % len(parked)])

    @rule(seconds=seconds)
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.advance(seconds)

    @rule(which=numbers, most=st.sampled_from((1, 2, 500)))
    def read(self, which: int, most: int) -> None:
        """A worker's poll thread has a turn."""
        if (worker := self._worker(which)) is not None:
            worker.consumer.most = most
            self.world.step(worker, commits=False)

    @rule(which=numbers)
    def commit(self, which: int) -> None:
        """A worker's committer has a turn."""
        if (worker := self._worker(which)) is not None:
            self.world.step(worker, commits=True)

    @precondition(lambda self: self.world.relay.waiting)
    @rule(which=numbers, answer=answers)
    def answer(self, which: int, answer: Answer) -> None:
        """The relay answers one of those that wait."""
        waiting = self.world.relay.waiting
        self.world.answer(waiting[which % len(waiting)], answer)

    @rule(answers=st.lists(answers, min_size=1, max_size=4))
    def go_on(self, answers: list[Answer]) -> None:
        """Everything goes its way for a while."""
        for answer in answers:
            self.world.round(answer)

    @rule(fates=st.lists(st.sampled_from(list(Fate)), min_size=1, max_size=2))
    def doom(self, fates: list[Fate]) -> None:
        """The next transactions go wrong."""
        self.world.kafka.fates.extend(fates)

    @rule()
    def time_out(self) -> None:
        """The broker aborts transactions that nobody ends."""
        self.world.kafka.settle()

    @rule(name=st.sampled_from(sorted(HOSTS)))
    def start(self, name: str) -> None:
        """A worker starts, for the first time or again."""
        if name not in self.world.workers:
            self.world.start(name, HOSTS[name])

    @rule(which=numbers, keeps_stores=st.booleans())
    def crash(self, which: int, keeps_stores: bool) -> None:
        """A worker is killed; perhaps somebody deletes its stores."""
        if (worker := self._worker(which)) is not None:
            self.world.crash(worker)
            if not keeps_stores:
                worker.host.stores = {n: s for n, s in worker.host.stores.items() if not s.closed}

    @rule(which=numbers, answers=st.lists(answers, max_size=3))
    def stop(self, which: int, answers: list[Answer]) -> None:
        """A worker is asked to stop."""
        if (worker := self._worker(which)) is not None:
            self.world.stop(worker, answers)

    @rule(which=numbers)
    def kick(self, which: int) -> None:
        """The group takes a worker for dead that is not."""
        if (worker := self._worker(which)) is not None:
            self.world.kick(worker)

    @rule(lane=st.integers(0, LANES - 1), which=numbers, answers=st.lists(answers, max_size=3))
    def move(self, lane: int, which: int, answers: list[Answer]) -> None:
        """A lane is to go to another worker."""
        if (worker := self._worker(which)) is not None:
            self.world.while_draining = answers
            self.world.kafka.group.move(lane, worker.consumer.member)

    @rule(up=st.booleans())
    def relay(self, up: bool) -> None:
        """The relay goes down, or comes up."""
        if up:
            self.world.relay.come_up()
        else:
            self.world.relay_goes_down()

    @rule(switch=st.sampled_from(SWITCHES), off=st.booleans())
    def turn_switch(self, switch: SwitchKey, off: bool) -> None:
        """An operator pauses something, or resumes it."""
        self.world.switch(*switch, off=off)

    def teardown(self) -> None:
        """Everything is mended and comes to rest, and is as it has to be."""
        try:
            if self.world.hosts:
                self.world.rest()
                check_end(self.world)
        finally:
            self.world.close()

    def _mail(self, which: int) -> Mail:
        mails = list(self.world.mails.values())
        return mails[which % len(mails)]

    def _worker(self, which: int) -> Worker | None:
        workers = [self.world.workers[name] for name in sorted(self.world.workers)]
        return workers[which % len(workers)] if workers else None


def run(machine: Callable[[], RuleBasedStateMachine], config: settings = _SETTINGS) -> None:
    run_state_machine_as_test(machine, settings=config)


def test_each_mail_ends_once_and_is_sent_once_whatever_happens() -> None:
    """Crashes, repeats, demands, replays, outages and pauses in any order lose nothing."""
    run(Mails)


def test_without_the_ledger_s_judgement_mails_are_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model sees what the gate is for."""
    monkeypatch.setattr("consumers.mailer.processor.judge", lambda *_: Verdict.PROCEED)
    with pytest.raises(Violation):
        run(Mails, settings(_SETTINGS, phases=[Phase.generate]))


def test_a_member_whose_epoch_has_changed_commits_with_the_new_one() -> None:
    """A transaction that the group refuses is repeated as who we are by then, however idle."""
    world = World([Host(), Host()], lambda mail, worker: None)
    worker = world.start("a", 0)
    for _ in range(4):
        world.round(Answer.ACCEPT)
    recipient = Recipient(ADDRESSES[0])
    world.post(SignupEvent(UUID(int=1), 0, PLAIN, recipient, "en", {}, "acme"))
    world.step(worker, commits=False)
    world.step(worker, commits=False)
    world.answer(world.relay.waiting[0], Answer.ACCEPT)
    world.step(worker, commits=False)
    assert worker.committer.waits
    world.start("c", 1)
    try:
        world.rest()
        check_end(world)
    finally:
        world.close()


def test_a_transaction_whose_lane_goes_is_not_taken_for_one_that_hangs() -> None:
    """What was aborted and is not ours any more is given up, and the committer is idle."""
    world = World([Host()], lambda mail, worker: None)
    worker = world.start("a", 0)
    ownership = Ownership()
    epoch = ownership.acquire(MAIN)
    parts = replace(worker.committer_parts(), pause=lambda seconds: ownership.release(MAIN))
    committer = SteppedCommitter(parts, ownership)
    committer.start(Deadline(world.clock, 5))
    committer.submit(Batch(MAIN, epoch, 1, LaneLedger(0, LaneMemory(None, None), None, {})))
    committer.step()
    world.advance(2 * STUCK_SECONDS)
    committer.check()
    world.close()


def test_lanes_that_go_in_an_outage_do_not_leave_a_worker_that_never_asks_again() -> None:
    """Whoever probed the relay is gone with the lanes; the next mail asks in its place."""
    world = World([Host()], lambda mail, worker: None)
    worker = world.start("a", 0)
    world.relay_goes_down()
    recipient = Recipient(ADDRESSES[0])
    world.post(SignupEvent(UUID(int=1), 0, PLAIN, recipient, "en", {}, "acme"))
    for _ in range(4):
        world.round(Answer.ACCEPT)
    world.kick(worker)
    try:
        world.rest()
        check_end(world)
    finally:
        world.close()


def test_a_worker_that_turns_beats_every_few_seconds() -> None:
    """So that one that hangs can be told from one that has nothing to do."""
    world = World([Host()], lambda mail, worker: None)
    worker = world.start("a", 0)
    for _ in range(20):
        worker.turn()
        world.advance(1)
    world.close()

    pauses = [round(later - sooner) for sooner, later in pairwise(worker.beats)]
    assert pauses == [5, 5, 5]
