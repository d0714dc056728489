"""What the options of the `mailcascade dlt` commands mean: selections, changes, paces."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from console.failures import CommandFailed, ExitCode
from console.mails import instant_of
from console.operator import named_recipient
from retry_topics.dlt.edit import MOST_SOURCE
from retry_topics.dlt.selection import EVERYTHING, problems_of, recipient_of
from retry_topics.topology import parse_duration
from schemas.replay_jobs import Edit, Pace, Selection

_WRONG: Final = ExitCode.WRONG_SETTING
#: The share of failures at which a job with a canary stops, if nothing else is said.
DEFAULT_STOP_AT: Final = 0.10


@dataclass(frozen=True, slots=True)
class Words:
    """A selection as it was typed."""

    named: Sequence[str] | None = None
    since: str | None = None
    until: str | None = None
    template: Sequence[str] | None = None
    tenant: Sequence[str] | None = None
    recipient: Sequence[str] | None = None
    code: Sequence[int] | None = None
    group: Sequence[str] | None = None
    state: Sequence[str] | None = None


def selection_of(words: Words, now: int) -> Selection:
    """Return the selection that the words mean.

    Raises:
        CommandFailed: some of them mean nothing; all that do not are named.
    """
    states = [state for text in words.state or () for state in text.split(",") if state]
    selection = Selection(
        since=None if words.since is None else instant_of(words.since, now),
        until=None if words.until is None else instant_of(words.until, now),
        templates=frozenset(words.template or ()),
        tenants=frozenset(words.tenant or ()),
        recipients=frozenset(recipient_of(named_recipient(text)) for text in words.recipient or ()),
        codes=frozenset(words.code or ()),
        groups=frozenset(group.lower() for group in words.group or ()),
        positions=frozenset(text for text in words.named or () if ":" in text),
        mails=frozenset(text for text in words.named or () if ":" not in text),
        states=frozenset(states),
    )
    if problems := problems_of(selection):
        raise CommandFailed("\n".join(problems), _WRONG)
    return selection


def meant(selection: Selection, everything: bool) -> Selection:
    """Return a selection of which it is sure that all of it is meant.

    Raises:
        CommandFailed: it selects everything, and nobody said so; or both was said.
    """
    if (selection == EVERYTHING) != everything:
        demand = (
            "--all selects everything: leave the other words out"
            if everything
            else "say which records: positions, ids, --group, --template ..., or --all"
        )
        raise CommandFailed(demand, _WRONG)
    return selection


def rate_of(text: str | None) -> float | None:
    """Return the records a second that a text such as `200/s`, `200` or `30/m` means.

    Raises:
        CommandFailed: it means none.
    """
    if text is None:
        return None
    number, _, unit = text.partition("/")
    seconds = {"": 1, "s": 1, "m": 60, "h": 3_600}.get(unit)
    try:
        rate = float(number) / (seconds or 0)
    except (ValueError, ZeroDivisionError):
        rate = 0.0
    if not 0 < rate < 1e9:
        raise CommandFailed(f"--rate {text}: write for example 200/s or 30/m", _WRONG)
    return rate


def share_of(text: str | None) -> float | None:
    """Return the share that a text such as `10%` means.

    Raises:
        CommandFailed: it means none.
    """
    if text is None:
        return None
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise CommandFailed(
            f"--stop-if-failing {text}: write a percentage from above 0 to 100, such as 10%", _WRONG
        )
    return share


def duration_of(option: str, text: str | None) -> int | None:
    """Return the milliseconds that a text such as `1h` means.

    Raises:
        CommandFailed: it means none.
    """
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CommandFailed(f"{option} {error}", _WRONG) from error


def wait_of(text: str) -> int:
    """Return the milliseconds that `--wait` means; 0 is not at all.

    Raises:
        CommandFailed: it means none.
    """
    return 0 if text in ("0", "0s") else duration_of("--wait", text) or 0


def data_of(texts: Sequence[str]) -> dict[str, str]:
    """Return the values that texts such as `name=value` give.

    Raises:
        CommandFailed: one has no equals sign.
    """
    for text in texts:
        if "=" not in text:
            raise CommandFailed(f"--set-data {text}: write NAME=VALUE", _WRONG)
    return dict(text.split("=", 1) for text in texts)


def source_of(path: Path | None) -> str | None:
    """Return the source of a transformation.

    Raises:
        CommandFailed: it cannot be read, or is too long.
    """
    if path is None:
        return None
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path}: cannot be read: {error}", _WRONG) from error
    if len(source.encode()) > MOST_SOURCE:
        raise CommandFailed(f"{path}: has more than {MOST_SOURCE} bytes", _WRONG)
    return source


def pace_of(rate: str | None, canary: int, stop_at: str | None, wait: str, force: bool) -> Pace:
    """Return the pace that the options mean; a canary without a limit has the default one.

    Raises:
        CommandFailed: one of them means nothing.
    """
    limit = share_of(stop_at)
    if limit is None and canary:
        limit = DEFAULT_STOP_AT
    wait_ms = duration_of("--canary-wait", wait) or 0
    return Pace(rate_of(rate), canary, limit, wait_ms, force)


def edit_of(
    template: str | None,
    data: Sequence[str],
    transform: Path | None,
    renew: str | None,
    as_new: bool,
) -> Edit:
    """Return the changes that the options mean.

    Raises:
        CommandFailed: one of them means nothing.
    """
    more = duration_of("--renew-expiry", renew)
    return Edit(template, data_of(data), source_of(transform), more, as_new)
