"""The LMDB environment of a lane's store: day buckets, suppressions, offsets, the map's growth.

Entries are in one database for each day on which they were stored, and are looked for in the newest
day first, so that old ones go by dropping a day as a whole.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, TypeVar

import lmdb

from consumers.mailer.ledger.faults import StoreBroken
from consumers.mailer.ledger.place import LaneDirectory
from consumers.mailer.ledger.sieve import Sieve
from runtime.kafka.records import Partition

T = TypeVar("T")

Database: TypeAlias = lmdb._Database
Transaction: TypeAlias = "lmdb.Transaction[bytes]"

_FIRST_MAP: Final = 1 << 20
_DAY: Final = b"day-"
_OFFSETS: Final = b"offsets"
_SUPPRESSIONS: Final = b"suppressions"
#: Databases beyond those of the retention's days: ours, and days that nobody has dropped yet.
_SPARE: Final = 34
_NUMBER_BYTES: Final = 8
#: Half a megabyte for each lane; of a million mails, one stranger in five is looked for in vain.
_MAILS_TOLD_APART: Final = 22
#: LMDB keeps the interpreter's lock, so the event loop waits for as many puts as this.
_PUT_AT_ONCE: Final = 250


@dataclass(frozen=True, slots=True)
class PackedChanges:
    """What one transaction stores: entries by id, suppressions by hash, next offsets to read."""

    entries: Mapping[bytes, bytes]
    suppressions: Sequence[tuple[bytes, bool]]
    offsets: Mapping[Partition, int]
    day: int


class Tables:
    """An open environment. One thread may write while another one reads.

    Every error of LMDB or of the file system is a `StoreBroken`.
    """

    def __init__(self, directory: LaneDirectory, retention_days: int) -> None:
        self._directory = directory
        #: Held while the map moves or a database's handle ends, and by each look-up.
        self._handles = threading.Lock()
        #: Lets suppressions pass; most recipients are none, and every mail asks for its own.
        self._sieve = Sieve()
        #: Lets known mails pass: most are new, and LMDB lets go of the interpreter's lock.
        self._known = Sieve(_MAILS_TOLD_APART)
        with _translated():
            self._environment = self._open(retention_days)
            try:
                self._find_databases()
            except BaseException:
                self._environment.close()
                raise

    def _find_databases(self) -> None:
        with self._environment.begin(write=True) as transaction:
            self._offsets = self._database(_OFFSETS, transaction)
            self._suppressions = self._database(_SUPPRESSIONS, transaction)
            found = {
                int(name.removeprefix(_DAY)): self._database(name, transaction)
                for name in self._environment.dbs(transaction)
                if name.startswith(_DAY)
            }
            self._sieve.add_all(transaction.cursor(self._suppressions).iternext(values=False))
            for bucket in found.values():
                self._known.add_all(transaction.cursor(bucket).iternext(values=False))
        self._publish(found)

    def _open(self, retention_days: int) -> lmdb.Environment:
        data = self._directory.data
        held = data.stat().st_size if data.exists() else 0
        environment = lmdb.open(
            str(self._directory.path),
            map_size=max(_FIRST_MAP, held),
            sync=False,
            metasync=False,
            writemap=True,
            meminit=False,
            mode=0o600,
            max_dbs=retention_days + _SPARE,
            max_spare_txns=2,
        )
        try:
            used = self._used(environment)
            if held and held < used:
                raise StoreBroken(f"the store's file has {held} bytes of {used}")
            self._directory.reserve(environment.info()["map_size"])
        except BaseException:
            environment.close()
            raise
        return environment

    def look_up(self, event_id: bytes) -> bytes | None:
        """Return the packed entry of the newest day that has one."""
        if not self._known.passes(event_id):
            return None
        # Without `_translated`, whose cost is that of a look-up.
        try:
            with self._handles:
                transaction = self._environment.begin()
                try:
                    get = transaction.get
                    for bucket in self._newest_first:
                        packed = get(event_id, None, bucket)
                        if packed is not None:
                            return packed
                finally:
                    transaction.abort()
        except lmdb.Error as error:
            raise StoreBroken(f"the store cannot be used: {error}") from error
        return None

    def suppressed(self, address_hash: bytes) -> bool:
        """Tell whether this hash is among the suppressions."""
        if not self._sieve.passes(address_hash):
            return False
        try:
            with self._handles:
                transaction = self._environment.begin()
                try:
                    return transaction.get(address_hash, None, self._suppressions) is not None
                finally:
                    transaction.abort()
        except lmdb.Error as error:
            raise StoreBroken(f"the store cannot be used: {error}") from error

    def offsets(self) -> dict[Partition, int]:
        """Return the stored offsets."""
        with _translated(), self._handles, self._environment.begin() as transaction:
            return {
                _partition_of(key): int.from_bytes(value, "little")
                for key, value in transaction.cursor(self._offsets)
            }

    @property
    def newest_day(self) -> int | None:
        """The newest day that has a bucket."""
        return max(self._days, default=None)

    def store(self, changes: PackedChanges) -> None:
        """Store these changes, all or none."""
        created = self._write(lambda transaction: self._store(transaction, changes))
        if created is not None:
            self._publish({**self._days, changes.day: created})

    def drop_days(self, before: int) -> None:
        """Drop the buckets of all days before this one."""
        old = [day for day in self._days if day < before]
        if not old:
            return
        self._publish({day: bucket for day, bucket in self._days.items() if day >= before})
        for day in old:
            self._write(partial(self._drop, _name(day)))

    def forget_suppressions(self, source: Partition) -> None:
        """Forget all suppressions and how far their partition was read."""

        def forget(transaction: Transaction) -> None:
            transaction.drop(self._suppressions, delete=False)
            transaction.delete(_key(source), db=self._offsets)

        self._write(forget)

    def verify(self) -> None:
        """Read everything once."""
        with _translated(), self._environment.begin() as transaction:
            for table in (self._offsets, self._suppressions, *self._newest_first):
                count = sum(1 for _ in transaction.cursor(table).iternext(values=False))
                if count != transaction.stat(table)["entries"]:
                    raise StoreBroken("a table does not have as many entries as it says")

    def used(self) -> int:
        """Return how many bytes of the file are in use."""
        with _translated():
            return self._used(self._environment)

    def size(self) -> tuple[int, int]:
        """Return how many entries there are, and how many bytes of the file are in use."""
        with _translated(), self._handles, self._environment.begin() as transaction:
            entries = sum(transaction.stat(day)["entries"] for day in self._newest_first)
            return entries, self._used(self._environment)

    def close(self) -> None:
        """End the environment; what was stored is in the system's hands, not yet on the disk."""
        with self._handles:
            self._environment.close()
            self._sieve.open()
            self._known.open()

    def _store(self, transaction: Transaction, changes: PackedChanges) -> Database | None:
        """Write the changes; return the day's bucket if it is new."""
        created = None
        if changes.entries:
            bucket = self._days.get(changes.day)
            if bucket is None:
                bucket = created = self._database(_name(changes.day), transaction)
            items = sorted(changes.entries.items())
            self._known.add_all(changes.entries)
            cursor = transaction.cursor(bucket)
            for start in range(0, len(items), _PUT_AT_ONCE):
                cursor.putmulti(items[start : start + _PUT_AT_ONCE])
            # A clock that went back: a newer day's entry would hide this one.
            for day, newer in self._days.items():
                if day > changes.day:
                    for event_id, _ in items:
                        transaction.delete(event_id, db=newer)
        for address_hash, suppressed in changes.suppressions:
            if suppressed:
                self._sieve.add(address_hash)
                transaction.put(address_hash, b"", db=self._suppressions)
            else:
                transaction.delete(address_hash, db=self._suppressions)
        for partition, offset in changes.offsets.items():
            packed = offset.to_bytes(_NUMBER_BYTES, "little")
            transaction.put(_key(partition), packed, db=self._offsets)
        return created

    def _drop(self, name: bytes, transaction: Transaction) -> None:
        transaction.drop(self._database(name, transaction), delete=True)

    def _database(self, name: bytes, transaction: Transaction) -> Database:
        return self._environment.open_db(name, txn=transaction)

    def _publish(self, days: Mapping[int, Database]) -> None:
        newest_first = tuple(days[day] for day in sorted(days, reverse=True))
        with self._handles:
            self._days = dict(days)
            self._newest_first = newest_first

    def _write(self, work: Callable[[Transaction], T]) -> T:
        """Do the work in one transaction, again with a larger map where it does not fit."""
        with _translated():
            while True:
                try:
                    with self._environment.begin(write=True) as transaction:
                        return work(transaction)
                except lmdb.MapFullError:
                    self._grow()

    def _grow(self) -> None:
        size = 2 * self._environment.info()["map_size"]
        with self._handles:
            self._directory.reserve(size)
            self._environment.set_mapsize(size)

    @staticmethod
    def _used(environment: lmdb.Environment) -> int:
        return (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]


def _name(day: int) -> bytes:
    return b"%s%d" % (_DAY, day)


def _key(partition: Partition) -> bytes:
    return f"{partition.topic}:{partition.number}".encode()


def _partition_of(key: bytes) -> Partition:
    topic, _, number = key.decode().rpartition(":")
    return Partition(topic, int(number))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (lmdb.Error, OSError, ValueError) as error:
        raise StoreBroken(f"the store cannot be used: {error}") from error
