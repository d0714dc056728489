"""How fast a worker gets a lane's ledger back: from nothing, and with what it kept on the disk."""

import json
import os
import subprocess
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from bench.pipeline import PARTITIONS, BenchFailed, Pipeline, Site
from bench.restoring import LANE, Restored
from bench.table import Row
from console.stack.plan import own_module
from runtime.clock import SystemClock
from schemas.ledger import LedgerEntry, owner_of, write_entry
from schemas.mail_states import MailState

ENTRIES: Final = 1_000_000
QUICK_ENTRIES: Final = 100_000
_TRANSACTION_ENTRIES: Final = 10_000
_KAFKA_SECONDS: Final = 30.0
_RESTORE_SECONDS: Final = 400.0


def run(site: Site, entries: int) -> list[Row]:
    """Measure with so many entries in one lane; return the rows to print. Raises BenchFailed."""
    with Pipeline(site, "ledger") as pipeline:
        last = _write(pipeline, entries)
        state_dir = site.directory / "ledger-state"
        cold = _restore(pipeline, state_dir, last)
        warm = _restore(pipeline, state_dir, last)
    (data,) = state_dir.rglob("data.mdb")
    read_rate, rate = entries / cold.read_seconds, entries / cold.seconds
    return [
        ("entries", f"{entries:,}"),
        ("reading alone, entries/s", f"{read_rate:,.0f}"),
        ("restore from nothing, entries/s", f"{rate:,.0f}"),
        ("restore from nothing / reading alone", f"{rate / read_rate:.2f}"),
        ("restore from nothing, CPU us/entry", f"{cold.cpu_seconds / entries * 1e6:.1f}"),
        ("restore from nothing, peak RSS MiB", f"{cold.peak_mib:.0f}"),
        ("restart with a warm store, ms", f"{warm.seconds * 1e3:,.0f}"),
        ("store on the disk, MiB", f"{data.stat().st_blocks * 512 / 2**20:.0f}"),
        ("look-up of a known mail, us", f"{warm.hit_us:.1f}"),
        ("look-up of an unknown mail, us", f"{warm.miss_us:.1f}"),
    ]


def _write(pipeline: Pipeline, entries: int) -> bytes:
    """Write entries of as many mails to one lane as workers do; return the last one's id."""
    value = write_entry(
        LedgerEntry(
            state=MailState.SENT,
            generation=0,
            step=0,
            attempts=1,
            owner=owner_of("default"),
            at=SystemClock().now_ms(),
            template="signup-confirmation",
            tenant="default",
            worker="bench-0",
            text="250 2.0.0 Ok: queued as 4F6B21A0C3",
        )
    )
    # A coordinator that is still loading is waited for, which is nothing to complain of.
    own = {"transactional.id": pipeline.topology.prefix, "log_level": 0}
    producer = Producer({**pipeline.properties, **own})
    producer.init_transactions(_KAFKA_SECONDS)
    key = b""
    for start in range(0, entries, _TRANSACTION_ENTRIES):
        producer.begin_transaction()
        for _ in range(min(_TRANSACTION_ENTRIES, entries - start)):
            key = os.urandom(16)
            producer.produce(pipeline.topology.ledger, value, key, partition=LANE)
        producer.commit_transaction(_KAFKA_SECONDS)
    producer.close()
    return key


def _restore(pipeline: Pipeline, state_dir: Path, known: bytes) -> Restored:
    command = own_module(
        "bench.restoring",
        str(pipeline.properties["bootstrap.servers"]),
        pipeline.topology.prefix,
        str(PARTITIONS),
        str(state_dir),
        known.hex(),
    )
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_RESTORE_SECONDS, check=False
    )
    if done.returncode != 0:
        raise BenchFailed(f"the restore ended with exit code {done.returncode}: {done.stderr}")
    return Restored(**json.loads(done.stdout.splitlines()[-1]))
