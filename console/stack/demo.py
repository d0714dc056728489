"""The demo: signups through the whole pipeline in a temporary place, and the balance in the end."""

import asyncio
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from console.mails import mail_lines
from console.stack.catch import Catch
from console.stack.catcher.script import tag_of
from console.stack.interrupts import Interrupts
from console.stack.kafka import Kind
from console.stack.live import LiveLine, status_line
from console.stack.load import PER_SECOND, Posted, post_all
from console.stack.plan import Ports, StackPlan, topology, without_settings
from console.stack.ports import free_ports
from console.stack.report import (
    balance_table,
    complaints,
    dead_letters,
    one_history,
    one_mail,
)
from console.stack.signups import signups
from console.stack.stack import Machine, Stack, StackFailed, Started
from console.stack.tally import DeadMail, Tally, balance, ends
from console.stack.view import StackView
from console.stack.watch import Counts, Watch
from console.stack.workplace import Workplace
from retry_topics.headers import read_journey
from runtime.clock import Clock, Deadline, SystemClock
from runtime.kafka.records import Record
from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.mail_states import MailState

TIERS: Final = "2s,4s,8s"
_PARTITIONS: Final = 8
#: Signups with this tag are sent at the third attempt: there is most to tell of them.
_TWICE_REFUSED: Final = "tempfail2"
#: The longest way is all tiers, 14 s; a slow machine may take several times as long.
_SETTLE_SECONDS: Final = 75.0
#: The status view is a moment behind, and more on a slow machine.
_VIEW_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class DemoSize:
    """How many people sign up, and how many processes send their mail."""

    signups: int
    workers: int


class Demo:
    """One run of the demo on a running stack."""

    def __init__(self, stack: Stack, interrupts: Interrupts, console: Console) -> None:
        self._stack = stack
        self._interrupts = interrupts
        self._console = console
        self._clock: Clock = SystemClock()
        self._watch = Watch(stack.properties, stack.plan.topology, from_now=False)
        self._catch = Catch(stack.plan.page_url)
        self._posted: list[Posted] = []

    def run(self, count: int) -> Tally:
        """Post, wait until all is settled, stop the workers, and print what became of it."""
        began = self._clock.monotonic()
        self._console.print(f"\nPosting {count} signups, {PER_SECOND:.0f} a second ...")
        try:
            with LiveLine(self._console, self._clock) as line:
                self._post(count, line)
                self._settle(line)
            self._console.print(f"Settled after {self._clock.monotonic() - began:.0f} s.\n")
            self._stack.stop_workers()
            with self._stack.view() as view:
                return self._report(view)
        finally:
            self._catch.close()

    def _post(self, count: int, line: LiveLine) -> None:
        runner = asyncio.Runner()
        with self._interrupts.shielded(lambda: _cancel_all(runner.get_loop())), runner:
            runner.run(self._post_looking_on(count, line))

    async def _post_looking_on(self, count: int, line: LiveLine) -> None:
        posting = asyncio.create_task(
            post_all(self._stack.plan.api_url, signups(count), self._clock, self._posted.append)
        )
        while not posting.done():
            await asyncio.to_thread(self._look, line)
            await asyncio.wait({posting}, timeout=_LOOK_SECONDS)
        await posting

    def _settle(self, line: LiveLine) -> None:
        deadline = Deadline(self._clock, _SETTLE_SECONDS)
        accepted = {item.signup.address for item in self._posted if item.mail_id is not None}
        while not deadline.expired():
            self._look(line)
            ended = {mail.address for mail in self._catch.mails}
            ended.update(dead.address for dead in self._dead())
            if accepted <= ended:
                return
            time.sleep(_LOOK_SECONDS)

    def _look(self, line: LiveLine) -> Counts:
        self._stack.check()
        counts = self._watch.look()
        self._catch.refresh()
        line.show(status_line(counts.accepted, len(self._catch.mails), counts.waiting, counts.dead))
        return counts

    def _dead(self) -> list[DeadMail]:
        return [dead_mail(record) for record in self._watch.dead]

    def _told(self, view: StackView) -> dict[str, MailState]:
        """Return the states by the view, as soon as they agree with what was seen, if they do."""
        ended = ends(self._posted, self._catch.mails, self._dead())
        deadline = Deadline(self._clock, _VIEW_SECONDS)
        while True:
            told = view.states(self._clock.now_ms())
            if ended.items() <= told.items() or deadline.expired():
                return told
            self._stack.check()
            time.sleep(_LOOK_SECONDS)

    def _report(self, view: StackView) -> Tally:
        counts = self._watch.look()
        self._catch.refresh()
        dead = self._dead()
        tally = balance(self._posted, self._catch.mails, dead, counts.entered, self._told(view))
        if self._catch.mails:
            shown = min(self._catch.mails, key=lambda mail: mail.address)
            self._console.print(one_mail(self._catch.mail(shown.number)), "")
        if history := self._history(view):
            self._console.print(one_history(history), soft_wrap=True)
            self._console.print()
        if dead:
            self._console.print(dead_letters(dead), "")
        self._console.print(balance_table(tally))
        for refused in [item for item in self._posted if item.mail_id is None][:3]:
            self._console.print(f"{refused.signup.address}: {refused.answer}", markup=False)
        return tally

    def _history(self, view: StackView) -> list[str]:
        """Return what the view tells of a mail that was sent after two failures."""
        retries = len(self._stack.plan.topology.tiers)
        for item in self._posted:
            if item.mail_id is not None and tag_of(item.signup.address) == _TWICE_REFUSED:
                mail = view.mail(item.mail_id)
                return [] if mail is None else mail_lines(mail, retries)
        return []


def run_demo(size: DemoSize, machine: Machine, console: Console) -> int:
    """Run the demo and return the exit code; raises what the stack raises."""
    clock = SystemClock()
    began = clock.monotonic()
    console.print(
        f"mailcascade demo: {size.signups} signups through the whole pipeline, in a temporary "
        f"place.\nThe retry tiers are shortened to {TIERS}, to be watched; normally they are "
        f"1m,10m,1h.\nKafka is {machine.rung.description}.\n",
        soft_wrap=True,
    )
    with Workplace() as workplace, workplace.kept_on_failure(console):
        plan = _plan(workplace.directory, size, machine)
        with Stack(plan, machine, lambda part: show_part(console, part)) as stack:
            tally = Demo(stack, machine.interrupts, console).run(size.signups)
            if machine.rung.kind is Kind.EXTERNAL:
                console.print(f"Left on that Kafka: the topics {plan.topology.prefix}*")
        if not tally.is_clean:
            raise StackFailed(" ".join(complaints(tally)))
    took = clock.monotonic() - began
    console.print(f"\nNothing was lost. It took {took:.0f} s; everything is stopped again.")
    return 0


def show_part(console: Console, part: Started) -> None:
    """Print that a part is ready."""
    line = f"  ready after {part.seconds:4.1f} s  {part.name:<13} {part.where}"
    console.print(line, markup=False, soft_wrap=True)


def dead_mail(record: Record) -> DeadMail:
    """Return what a record of the dead-letter topic tells."""
    journey = read_journey(record.headers)
    last = journey.history[-1:]
    codes = [str(code) for attempt in last for code in (attempt.code, attempt.enhanced) if code]
    try:
        address = EventCodec(None).decode(record.value or b"").recipient.address
    except Undecodable:
        address = "(undecodable)"
    if journey.death is None:
        return DeadMail(address, "", "")
    return DeadMail(address, journey.death.reason, " ".join([*codes, journey.death.text]))


def _plan(directory: Path, size: DemoSize, machine: Machine) -> StackPlan:
    kafka, smtp, page, api = free_ports(4)
    return StackPlan(
        directory=directory,
        ports=Ports(kafka, smtp, page, api),
        workers=size.workers,
        topology=topology(f"mailcascade-demo-{uuid.uuid4().hex[:8]}", TIERS, _PARTITIONS),
        environ=without_settings(machine.environ),
    )


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the loop's tasks; for a signal handler, which may interrupt the loop anywhere."""
    loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
