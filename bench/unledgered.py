"""A worker without a ledger, to measure the ledger's cost by: `python -m bench.unledgered`.

It writes no entry, stores nothing, looks nothing up and keeps no journal. What else a record
causes is as it is, but all of it waits for the record's offset: nobody could tell the record from a
new one. It would send a repeat again, so it is for benchmarks only.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from unittest import mock

from consumers.mailer.committer import Batch
from consumers.mailer.completion import Completion
from consumers.mailer.endings import Endings, Words
from consumers.mailer.job import Job
from consumers.mailer.keeper import Keeper
from consumers.mailer.ledger.desk import Fetched, LedgerDesk
from consumers.mailer.ledger.lane import LaneLedger
from consumers.mailer.ledger.restore import Ticket
from consumers.mailer.ledger.store import Changes
from consumers.serve import run_worker
from retry_topics.headers import Journey
from runtime.kafka.records import OutRecord, Partition
from runtime.logs import configure_logs
from runtime.settings import Settings, load_settings
from schemas.ledger import Standing
from schemas.mail_states import MailState


class NoStore:
    """Knows nothing and keeps nothing."""

    def get(self, event_id: bytes) -> Standing | None:
        """Tell that the mail is not known."""
        return None

    def suppression(self, address_hash: bytes) -> bool:
        """Tell that nobody is suppressed."""
        return False

    def size(self) -> tuple[int, int]:
        """Tell that nothing is stored."""
        return 0, 0

    def apply(self, changes: Changes) -> None:
        """Keep nothing."""

    def prune(self, today: int) -> None:
        """There is nothing to drop."""

    def close(self) -> None:
        """There is nothing to close."""


class NoLedger(LaneLedger):
    """A lane of which nothing is known."""

    def __init__(self, lane: int) -> None:
        super().__init__(lane, NoStore(), None, {})

    def standing(self, event_id: bytes) -> Standing | None:
        """Tell that the mail is not known."""
        return None

    def is_suppressed(self, address_hash: bytes) -> bool:
        """Tell that nobody is suppressed."""
        return False

    def made(self, completion: Completion) -> None:
        """Take no note."""


class NoEntries(Endings):
    """Ends records without a word about it."""

    def _settled(self, job: Job, journey: Journey, state: MailState, words: Words) -> Completion:
        return Completion(job.source, job.record.offset)

    def _forwarded(
        self, job: Job, journey: Journey, state: MailState, forward: OutRecord, words: Words
    ) -> Completion:
        return Completion(job.source, job.record.offset, (forward,))


class NoKeeper(Keeper):
    """Has no store to bring anything into."""

    def keep(self, batches: Iterable[Batch], written: Mapping[Partition, int]) -> None:
        """Store nothing."""


class NoDesk(LedgerDesk):
    """Hands out lanes at once: nothing is restored."""

    def fetch(self, lane: int, asker: object, report: Callable[[Fetched], object]) -> Ticket:
        """Report a lane of which nothing is known."""
        report(Fetched(asker, NoLedger(lane)))
        return Ticket(lane, lambda _: None)

    def let_go(self, ledger: LaneLedger, seconds: float) -> bool:
        """Forget the lane."""
        ledger.gone = True
        return True


def run(settings: Settings) -> None:
    """Work as `consumers.serve.run_worker` does, without a ledger."""
    with mock.patch.multiple(
        "consumers.app", Endings=NoEntries, Keeper=NoKeeper, LedgerDesk=NoDesk
    ):
        run_worker(settings.model_copy(update={"journal": False}))


if __name__ == "__main__":
    configure_logs("info", sys.stderr)
    run(load_settings(os.environ))
