"""Dead-lettered records as people and programs see them; addresses are masked unless revealed."""

import json
from typing import Final

from retry_topics.dlt.archive import Found
from retry_topics.dlt.grouping import OTHERS, Groups, Tally
from retry_topics.dlt.letter import Letter
from retry_topics.dlt.states import Standing
from retry_topics.dlt.told import decoded, event_told
from retry_topics.headers import Attempt, read_journey
from schemas.codec import EventCodec
from schemas.instants import show_instant
from schemas.ledger import Standing as LedgerStanding
from schemas.privacy import mask_address, mask_addresses

_HEX_ROW: Final = 16
_TENANTS_SHOWN: Final = 3


def counted(number: int, noun: str) -> str:
    """Return how many there are, in words: one record, or so many records."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def groups_lines(groups: Groups) -> list[str]:
    """Return groups as lines, what waits for somebody first."""
    lines = []
    for title, tallies in (("open", groups.open), ("settled", groups.settled)):
        total = sum(tally.count for tally in tallies)
        lines.append(f"{title}: {counted(total, 'record')} in {counted(len(tallies), 'group')}")
        for tally in tallies:
            lines += _tally_lines(tally)
    return lines


def letter_line(letter: Letter, standing: Standing) -> str:
    """Return a letter as one line of a list."""
    about = letter.about
    recipient = "-" if about is None else mask_address(about.address)
    return (
        f"{letter.position!s:<10}  {show_instant(letter.at)}  {state_words(standing):<10}  "
        f"{letter.group.fingerprint}  {letter.mail_id or '(undecodable)':<32}  {recipient}  "
        f"{letter.group.template or '-'}: {cause_words(letter)}"
    )


def whole_lines(
    found: Found, standing: LedgerStanding | None, codec: EventCodec, reveal: bool
) -> list[str]:
    """Return one letter whole: its event, its attempts with the relay's words, its state."""
    letter, message = found.letter, found.message
    journey = read_journey(tuple(message.headers))
    origin, death = journey.origin, journey.death
    rows = [
        ("position", str(letter.position)),
        ("id", letter.mail_id),
        ("state", state_words(found.standing)),
        ("ledger", "" if standing is None else _ledger_words(standing)),
        ("group", letter.group.fingerprint),
        ("cause", cause_words(letter)),
        ("died", "" if death is None else f"{show_instant(death.at)}: {death.text}"),
        ("origin", "" if origin is None else f"{origin.topic} {origin.partition}:{origin.offset}"),
        ("accepted", "" if origin is None else show_instant(origin.timestamp_ms)),
        ("generation", str(letter.generation) if letter.generation else ""),
        ("replays", str(letter.replays) if letter.replays else ""),
    ]
    lines = [f"  {name:<11} {value}" for name, value in rows if value]
    lines += [_attempt_line(attempt) for attempt in journey.history]
    if not reveal:
        # Relays quote the recipient's address.
        lines = [mask_addresses(line) for line in lines]
    if journey.omitted:
        lines.append(f"  {journey.omitted} attempts in between are left out")
    return lines + _content_lines(message.value, codec, reveal)


def cause_words(letter: Letter) -> str:
    """Return what a letter died of, in short."""
    cause = letter.cause
    code = "" if cause.code is None else f" {cause.code}"
    enhanced = "" if cause.enhanced is None else f" {cause.enhanced}"
    what = " ".join(part for part in (cause.scope, cause.kind) if part)
    where = f" at {cause.phase}" if cause.phase else ""
    return f"{cause.reason or '-'}: {what or '-'}{where}{code}{enhanced} ({cause.rule or '-'})"


def state_words(standing: Standing) -> str:
    """Return a state, with the job that it is about."""
    return f"{standing.state} by {standing.job}" if standing.job else standing.state.value


def _tally_lines(tally: Tally) -> list[str]:
    example = tally.example
    named = [name for name, _ in tally.tenants.most_common(_TENANTS_SHOWN) if name != OTHERS]
    more = len(tally.tenants) - len(named)
    tenants = ", ".join(named) + (f" and {more} more" if more > 0 else "")
    states = ", ".join(f"{count} {state}" for state, count in sorted(tally.states.items()))
    return [
        f"  {tally.group.fingerprint}  {tally.count:>8}  {tally.group.template or '-'}: "
        f"{cause_words(example)}",
        f"              {states}; {show_instant(tally.first)} to {show_instant(tally.last)}; "
        f"of {tenants or '-'}; such as {example.position}",
    ]


def _ledger_words(standing: LedgerStanding) -> str:
    return f"{standing.state} (generation {standing.generation})"


def _attempt_line(attempt: Attempt) -> str:
    code = "" if attempt.code is None else f" {attempt.code}"
    where = f"{attempt.scope} {attempt.kind} at {attempt.phase}{code}"
    return (
        f"  attempt {attempt.number}  {show_instant(attempt.at)}  {where}: {attempt.text} "
        f"({attempt.rule}, {attempt.worker})"
    )


def _content_lines(value: bytes | None, codec: EventCodec, reveal: bool) -> list[str]:
    event, problem = decoded(value, codec)
    if event is None:
        return [f"  undecodable: {problem}", *_hex_lines(value or b"")]
    shown = json.dumps(event_told(event, reveal), indent=2, ensure_ascii=False)
    hint = [] if reveal else ["  addresses and values are hidden; --reveal shows them"]
    return ["  event", *(f"    {line}" for line in shown.splitlines()), *hint]


def _hex_lines(value: bytes) -> list[str]:
    rows = (value[at : at + _HEX_ROW] for at in range(0, len(value), _HEX_ROW))
    return [
        f"    {number * _HEX_ROW:06x}  {row.hex(' '):<{3 * _HEX_ROW}} "
        + "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        for number, row in enumerate(rows)
    ]
