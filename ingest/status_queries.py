"""Reads the parameters of a question for mails, or finds everything that is wrong with them."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from consumers.status.reader import Cursor, StatusQuery
from ingest.problems import FieldProblem, invalid
from schemas.addresses import parse_address
from schemas.instants import parse_instant
from schemas.mail_states import MailState

T = TypeVar("T")

DEFAULT_LIMIT: Final = 50
MOST_MAILS: Final = 200
_MOST_CHARACTERS: Final = 200
_SHOWN_NAME: Final = 100
_LIST: Final = "state"
PARAMETERS: Final = ("state", "template", "recipient", "since", "until", "limit", "cursor")


def parse_query(parameters: Iterable[tuple[str, str]], tenant: str) -> StatusQuery:
    """Return the question of a tenant.

    Raises:
        Refused: with every wrong parameter.
    """
    found: list[FieldProblem] = []
    given = _Given(_collected(parameters, found), found)
    query = StatusQuery(
        tenant=tenant,
        states=given.read("state", parse_states) or frozenset(),
        template=given.read("template", _template),
        recipient=given.read("recipient", parse_address),
        since=given.read("since", parse_instant),
        until=given.read("until", parse_instant),
        limit=given.read("limit", _limit) or DEFAULT_LIMIT,
        after=given.read("cursor", _cursor),
    )
    if query.since is not None and query.until is not None and query.since >= query.until:
        found.append(FieldProblem("until", "must be later than since"))
    if found:
        raise invalid(found)
    return query


def parse_states(text: str) -> frozenset[MailState]:
    """Return the states in a list such as `retry,dead`.

    Raises:
        ValueError: one is none, or there is none.
    """
    try:
        return frozenset(MailState(word.strip()) for word in text.split(","))
    except ValueError:
        raise ValueError(f"must be one or more of {', '.join(MailState)}") from None


class _Given:
    """The parameters by name; those that cannot be read become problems."""

    def __init__(self, values: dict[str, str], problems: list[FieldProblem]) -> None:
        self._values = values
        self._problems = problems

    def read(self, name: str, parse: Callable[[str], T]) -> T | None:
        value = self._values.get(name)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self._problems.append(FieldProblem(name, str(error)))
            return None


def _collected(
    parameters: Iterable[tuple[str, str]], problems: list[FieldProblem]
) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parameters:
        if name not in PARAMETERS:
            message = f"is no parameter; there are {', '.join(PARAMETERS)}"
            problems.append(FieldProblem(name[:_SHOWN_NAME], message))
        elif name not in values:
            values[name] = value
        elif name == _LIST:
            values[name] += f",{value}"
        else:
            problems.append(FieldProblem(name, "must be given once"))
    return values


def _template(text: str) -> str:
    if not 0 < len(text) <= _MOST_CHARACTERS:
        raise ValueError("must be a template's name")
    return text


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_MAILS:
        return int(text)
    raise ValueError(f"must be a whole number from 1 to {MOST_MAILS}")


def _cursor(text: str) -> Cursor:
    try:
        return Cursor.decode(text)
    except ValueError:
        raise ValueError("must be the next_cursor of an earlier answer") from None
