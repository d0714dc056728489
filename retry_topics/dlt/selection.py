"""Which letters are meant: a selection made ready to be asked of each of a million."""

from collections.abc import Callable
from typing import Final

from retry_topics.dlt.letter import Letter
from retry_topics.dlt.states import RecordState
from schemas.dlt_journal import parse_position
from schemas.identity import LANE_KEY_BYTES, lane_key, parse_mail_id
from schemas.privacy import address_hash
from schemas.replay_jobs import Selection

Check = Callable[[Letter, RecordState], bool]

#: What selects everything.
EVERYTHING: Final = Selection()
_GROUP_DIGITS: Final = 10


def recipient_of(address: str) -> bytes:
    """Return how a selection names a recipient: it does not hold the address."""
    return lane_key(address) + address_hash(address)


def problems_of(selection: Selection) -> list[str]:
    """Return what is wrong with a selection's words, each for a person; [] is good."""
    problems = []
    for text in sorted(selection.positions):
        try:
            parse_position(text)
        except ValueError as error:
            problems.append(str(error))
    for text in sorted(selection.mails):
        try:
            parse_mail_id(text)
        except ValueError as error:
            problems.append(f"{text}: {error}")
    known = ", ".join(RecordState)
    problems += [
        f"{state!r} is no state; there are {known}"
        for state in sorted(selection.states)
        if state not in list(RecordState)
    ]
    problems += [
        f"{group!r} is no fingerprint; `mailcascade dlt groups` shows them"
        for group in sorted(selection.groups)
        if not 0 < len(group) <= _GROUP_DIGITS or set(group) - set("0123456789abcdef")
    ]
    return problems


def matcher(selection: Selection) -> Check:
    """Return what tells whether a letter in its state is selected.

    Raises:
        ValueError: the selection has problems (see `problems_of`).
    """
    if problems := problems_of(selection):
        raise ValueError("\n".join(problems))
    checks = [check for check in _checks(selection) if check is not None]
    if not checks:
        return lambda letter, state: True
    if len(checks) == 1:
        return checks[0]
    return lambda letter, state: all(check(letter, state) for check in checks)


def _checks(selection: Selection) -> list[Check | None]:
    since, until = selection.since, selection.until
    return [
        None if since is None else lambda letter, state: letter.at >= since,
        None if until is None else lambda letter, state: letter.at < until,
        _of_states(selection.states),
        _of_groups(selection.groups),
        _of_templates(selection.templates),
        _of_tenants(selection.tenants),
        _of_codes(selection.codes),
        _of_recipients(selection.recipients),
        _of_places(selection.positions, selection.mails),
    ]


def _of_states(states: frozenset[str]) -> Check | None:
    wanted = frozenset(RecordState(state) for state in states)
    return (lambda letter, state: state in wanted) if wanted else None


def _of_groups(groups: frozenset[str]) -> Check | None:
    starts = tuple(groups)
    return (lambda letter, state: letter.group.fingerprint.startswith(starts)) if starts else None


def _of_templates(templates: frozenset[str]) -> Check | None:
    return (lambda letter, state: letter.group.template in templates) if templates else None


def _of_tenants(tenants: frozenset[str]) -> Check | None:
    def check(letter: Letter, state: RecordState) -> bool:
        return letter.about is not None and letter.about.tenant in tenants

    return check if tenants else None


def _of_codes(codes: frozenset[int]) -> Check | None:
    return (lambda letter, state: letter.group.cause.code in codes) if codes else None


def _of_recipients(recipients: frozenset[bytes]) -> Check | None:
    lanes = {recipient[:LANE_KEY_BYTES] for recipient in recipients}
    hashes = {recipient[LANE_KEY_BYTES:] for recipient in recipients}

    def check(letter: Letter, state: RecordState) -> bool:
        # The key is compared first, because hashing an address costs more.
        about = letter.about
        return (
            about is not None and letter.lane_key in lanes and address_hash(about.address) in hashes
        )

    return check if recipients else None


def _of_places(positions: frozenset[str], mails: frozenset[str]) -> Check | None:
    places = {parse_position(text) for text in positions}
    ids = {parse_mail_id(text)[0].bytes for text in mails}

    def check(letter: Letter, state: RecordState) -> bool:
        if letter.position in places:
            return True
        return letter.about is not None and letter.about.event_id in ids

    return check if places or ids else None
