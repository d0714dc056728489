"""Clocks: whether those that wrote records, and the database's, agree with this machine's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console.doctor.finding import Answer, Finding, Findings, Part, Unasked

#: A difference that is worth a word, in milliseconds; tiers begin at a minute.
_WORRY_MS: Final = 2_000
#: Due times and expiries are wrong by minutes, and brokers may refuse records.
_WRONG_MS: Final = 60_000
_MEND: Final = "run a time service (chrony, systemd-timesyncd) on every host"


@dataclass(frozen=True, slots=True)
class Compared:
    """A clock beside ours. `ahead_ms` is None where there is nothing to compare with.

    A record's time tells only of clocks that are ahead: `one_sided`.
    """

    name: str
    ahead_ms: Answer[int | None]
    one_sided: bool = False


def check_clocks(compared: Sequence[Compared]) -> list[Finding]:
    """Return what is to be said of clocks beside this machine's."""
    findings = Findings(Part.CLOCK)
    for other in compared:
        ahead = other.ahead_ms
        if isinstance(ahead, Unasked):
            findings.unknown(other.name, ahead.reason)
        elif ahead is not None:
            _check_one(findings, other, ahead)
    if not findings.all:
        findings.ok("clocks", "there is no other clock to compare this machine's with")
    return findings.all


def _check_one(findings: Findings, other: Compared, ahead: int) -> None:
    apart = max(0, ahead) if other.one_sided else abs(ahead)
    if apart <= _WORRY_MS:
        told = "not ahead" if other.one_sided else f"{apart} ms apart"
        findings.ok(other.name, f"{told}, beside this machine's clock")
        return
    way = "ahead of" if ahead > 0 else "behind"
    tell = findings.fail if apart > _WRONG_MS else findings.warn
    tell(
        other.name,
        f"{apart / 1000:.1f} s {way} this machine's clock: due times and expiries are off by that",
        _MEND,
    )
