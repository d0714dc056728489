"""A lane's ledger without a disk."""

from consumers.mailer.ledger.store import Changes
from runtime.kafka.records import Partition
from schemas.ledger import Standing


class MemoryStore:
    """What `LaneStore` keeps, in dictionaries."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Standing] = {}
        self.suppressions: dict[bytes, bool] = {}
        self.offsets: dict[Partition, int] = {}
        self.closed = False

    def get(self, event_id: bytes) -> Standing | None:
        """Return what the last entry of a mail says."""
        return self.entries.get(event_id)

    def suppression(self, address_hash: bytes) -> bool:
        """Tell whether the recipient with this hash gets no mail."""
        return self.suppressions.get(address_hash, False)

    def size(self) -> tuple[int, int]:
        """Return how many entries there are; they take no bytes."""
        return len(self.entries), 0

    def apply(self, changes: Changes) -> None:
        """Store the changes and their offsets."""
        self.entries |= dict(changes.entries)
        self.suppressions |= dict(changes.suppressions)
        for partition, offset in changes.offsets.items():
            self.offsets[partition] = max(offset, self.offsets.get(partition, 0))

    def prune(self, today: int) -> None:
        """Keep everything: a test is over on the same day."""

    def close(self) -> None:
        """Remember that nobody needs it any more."""
        self.closed = True
