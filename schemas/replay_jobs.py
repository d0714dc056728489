"""A replay of dead-lettered mails as the journal keeps it: what was asked for, and how far it is.

planned -> running -> paused | stopped -> running ...
              |
              +--> waiting (all is replayed, outcomes are to come) -> finished
any of them but finished -> cancelled
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from schemas.errors import Undecodable
from schemas.framing import framing

KIND: Final = "replay_job"


class JobState(StrEnum):
    """What a job is doing. `paused` by a person, `stopped` by itself; both can go on."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    WAITING = "waiting"
    FINISHED = "finished"
    CANCELLED = "cancelled"


#: States from which nothing more comes.
ENDED: Final = frozenset({JobState.FINISHED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records of the dead-letter topic; what is empty or None does not restrict.

    `since` is included, `until` is not; both are milliseconds since the epoch and about when the
    record died. A recipient is a lane key (4 bytes) followed by an address hash (16). A group is a
    fingerprint or its beginning; a position `partition:offset`; a mail its public id; a state a
    word of `retry_topics.dlt.states`.
    """

    since: int | None = None
    until: int | None = None
    templates: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    recipients: frozenset[bytes] = frozenset()
    codes: frozenset[int] = frozenset()
    groups: frozenset[str] = frozenset()
    positions: frozenset[str] = frozenset()
    mails: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Edit:
    """What is changed in each mail. `transform` is the source of a Python module.

    `renew_expiry_ms`: mails that expire may be sent for so long from their replay on, at least.
    `as_new`: each goes out as a new mail with an id of its own, also where it was sent before.
    `imported`: only the mails of an imported file go out, each as its row says (`dlt_rows`).
    """

    template: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    transform: str | None = None
    renew_expiry_ms: int | None = None
    as_new: bool = False
    imported: bool = False

    @property
    def changes_events(self) -> bool:
        """Tell whether records get other bytes."""
        return self != Edit()


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, in records a second (None: as fast as it goes), and when to stop.

    `canary` mails go first, and their outcomes are waited for, for at most `canary_wait_ms`. The
    job stops by itself when at least the share `stop_at` (0 to 1) of its outcomes are failures.
    `force` passes over the cap on how often a mail is replayed.
    """

    rate: float | None = None
    canary: int = 0
    stop_at: float | None = None
    canary_wait_ms: int = 300_000
    force: bool = False


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """One job. `ends` are the offsets, by partition, before which it looks.

    `counts` are its numbers (see `retry_topics.dlt.jobs`). Whoever runs it is the `owner`, and was
    alive at `beat_at`.
    """

    id: str
    state: JobState
    by: str
    reason: str
    created_at: int
    owner: str
    beat_at: int
    note: str
    selection: Selection
    ends: Mapping[int, int]
    edit: Edit
    pace: Pace
    counts: Mapping[str, int]


def write_job(job: ReplayJob) -> bytes:
    """Return the job as the journal holds it."""
    fields: dict[str, Any] = asdict(job)
    selection = fields["selection"]
    for name, value in selection.items():
        if isinstance(value, frozenset):
            selection[name] = sorted(value)
    fields["ends"] = {str(partition): end for partition, end in job.ends.items()}
    return framing(KIND).write(fields)


def read_job(value: bytes | None) -> ReplayJob:
    """Return the job in a value.

    Raises:
        Undecodable: the bytes are no job, or in a state that this release does not know.
    """
    fields = framing(KIND).read(value)
    if fields["state"] == "unknown":
        raise Undecodable("the job's state is none that this release knows")
    try:
        fields["ends"] = {int(partition): end for partition, end in fields["ends"].items()}
    except ValueError as error:
        raise Undecodable("the job's ends are not by partition") from error
    selection: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, list) else value
        for name, value in fields["selection"].items()
    }
    fields["selection"] = Selection(**selection)
    fields["state"] = JobState(fields["state"])
    fields["edit"] = Edit(**fields["edit"])
    fields["pace"] = Pace(**fields["pace"])
    return ReplayJob(**fields)
