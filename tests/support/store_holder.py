"""A process that has a lane's store open; started by `held_store`.

It stores entries 0 to 999, prints a line, and closes the store once its input ends.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Final

from consumers.mailer.ledger.store import Changes, StoreIdentity, StorePlace, open_store
from runtime.kafka.records import Partition
from schemas.ledger import Standing
from schemas.mail_states import MailState

ENTRIES: Final = 1_000
DAY: Final = 20_000
LEDGER: Final = Partition("mails.ledger", 3)
STANDING: Final = Standing(MailState.SENT, 1, 2, 3, b"acme")


def entry_id(number: int) -> bytes:
    """Return the id of one of the entries."""
    return number.to_bytes(16, "big")


@contextmanager
def held_store(state_dir: Path, identity: StoreIdentity) -> Iterator[subprocess.Popen[str]]:
    """Run the process; its store is open and filled. What is left of it in the end is killed."""
    command = [sys.executable, "-m", "tests.support.store_holder", str(state_dir)]
    process = subprocess.Popen(
        [*command, *map(str, astuple(identity))],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def _hold(state_dir: Path, identity: StoreIdentity) -> None:
    store, _ = open_store(StorePlace(state_dir), identity)
    for start in range(0, ENTRIES, 100):
        entries = [(entry_id(number), STANDING) for number in range(start, start + 100)]
        store.apply(Changes(entries, [], {LEDGER: start + 100}, DAY))
    print("held", flush=True)
    sys.stdin.read()
    store.close()


if __name__ == "__main__":
    directory, cluster, ledger, suppressions, prefix, partitions, lane, boot = sys.argv[1:]
    _hold(
        Path(directory),
        StoreIdentity(cluster, ledger, suppressions, prefix, int(partitions), int(lane), boot),
    )
