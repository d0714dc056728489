"""A process that has a lane's store open; started by `held_store`.

It stores entries 0 to 999 and prints a line. Then it waits for its input to end and closes the
store, or it goes on storing until it is killed.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from itertools import count
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from consumers.mailer.ledger.store import Changes, StoreIdentity, StorePlace, open_store
from runtime.kafka.records import Partition
from schemas.ledger import Standing
from schemas.mail_states import MailState

ENTRIES: Final = 1_000
_AT_ONCE: Final = 100
DAY: Final = 20_000
LEDGER: Final = Partition("mails.ledger", 3)
STANDING: Final = Standing(MailState.SENT, 1, 2, 3, b"acme")


def entry_id(number: int) -> bytes:
    """Return the id of one of the entries; neighbours are far apart."""
    return uuid5(NAMESPACE_OID, str(number)).bytes


@contextmanager
def held_store(
    state_dir: Path, identity: StoreIdentity, then: str = "wait"
) -> Iterator[subprocess.Popen[str]]:
    """Run the process; its store is open and filled. What is left of it in the end is killed.

    `then` is "wait" or "write".
    """
    command = [sys.executable, "-m", "tests.support.store_holder", then, str(state_dir)]
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


def _hold(state_dir: Path, identity: StoreIdentity, then: str) -> None:
    store, _ = open_store(StorePlace(state_dir), identity)
    for start in count(0, _AT_ONCE):
        if start == ENTRIES:
            print("held", flush=True)
            if then == "wait":
                break
        entries = [(entry_id(number), STANDING) for number in range(start, start + _AT_ONCE)]
        store.apply(Changes(entries, [], {LEDGER: start + _AT_ONCE}, DAY))
    sys.stdin.read()
    store.close()


if __name__ == "__main__":
    then, directory, cluster, ledger, suppressions, prefix, partitions, lane, boot = sys.argv[1:]
    _hold(
        Path(directory),
        StoreIdentity(cluster, ledger, suppressions, prefix, int(partitions), int(lane), boot),
        then,
    )
