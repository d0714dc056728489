"""What a lane's store was made from, written beside it, and whether it can be trusted.

::

    (none) -> opening -> open -> sealed
                 ^________________/

`sealed` is synced to the disk and has the checksum of its file. `open` is whole as long as the
machine runs, whatever becomes of the process, since the kernel holds the pages. `opening` is found
only where a process died while it looked into the store.
"""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from schemas.mail_states import MailState

#: Stands for the layout of what is stored; the states are stored by their place in this list.
FORMAT: Final = f"1 {' '.join(MailState)}"
#: Changes whenever the machine starts; Linux alone has it.
BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
_FILE: Final = "identity.json"


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Which lane of which cluster a store is of. `boot_id` tells when the machine was started."""

    cluster_id: str
    ledger_topic_id: str
    suppressions_topic_id: str
    prefix: str
    partitions: int
    lane: int
    boot_id: str


class Stage(StrEnum):
    """How far a store is between being opened and being sealed."""

    OPENING = "opening"
    OPEN = "open"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written beside a store. `length` and `checksum` describe a sealed store's file."""

    identity: StoreIdentity
    stage: Stage
    length: int = 0
    checksum: int = 0


def read_boot_id(path: Path = BOOT_ID_FILE) -> str:
    """Return what stands for this start of the machine, "" where the system does not tell."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def distrust(mark: Mark | None, identity: StoreIdentity) -> str:
    """Return why a store with this mark cannot be used as `identity`'s; "" if it can."""
    if mark is None:
        return "there is no usable store"
    old, new = asdict(mark.identity), asdict(identity)
    for name in old:
        if name != "boot_id" and old[name] != new[name]:
            return f"it is of another {name}: {old[name]}"
    match mark.stage:
        case Stage.OPENING:
            return "a process died while it opened the store"
        case Stage.OPEN if not identity.boot_id or old["boot_id"] != identity.boot_id:
            return "the machine was restarted before the store was sealed"
    return ""


def read_mark(directory: Path) -> Mark | None:
    """Return the mark of the store in a directory, None where there is none of this format."""
    try:
        written = json.loads((directory / _FILE).read_bytes())
        if written.pop("format") != FORMAT:
            return None
        identity = StoreIdentity(**written.pop("identity"))
        return Mark(identity, Stage(written.pop("stage")), **written)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def write_mark(directory: Path, mark: Mark) -> None:
    """Replace the mark; it is on the disk when this returns, unless it says `open`.

    An `open` mark that a power failure takes back leaves an `opening` one: neither is trusted then.
    """
    text = json.dumps({"format": FORMAT, **asdict(mark)})
    fresh = directory / f"{_FILE}.new"
    durable = mark.stage is not Stage.OPEN
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    fresh.replace(directory / _FILE)
    if durable:
        _sync_directory(directory)


def remove_mark(directory: Path) -> None:
    """Take the mark away, so that the store is not used again."""
    (directory / _FILE).unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
