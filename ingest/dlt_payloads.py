"""What operators ask about dead-lettered mails: bodies and parameters, and what they mean."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from ingest.bodies import NOT_JSON, malformed
from ingest.payloads import Instant
from ingest.problems import FieldProblem, invalid
from retry_topics.dlt.selection import EVERYTHING, problems_of, recipient_of
from retry_topics.topology import parse_duration
from schemas.addresses import parse_address
from schemas.instants import parse_instant
from schemas.replay_jobs import Edit, Pace, Selection

T = TypeVar("T")

DEFAULT_LIMIT: Final = 50
MOST_LETTERS: Final = 1_000
#: The share of failures at which a job with a canary stops, if nothing else is said.
_STOP_AT: Final = 0.1
_MOST_CANARY: Final = 10_000
#: The parameters that select, by the fields of a selection's body.
_LISTS: Final = {
    "template": "templates",
    "tenant": "tenants",
    "recipient": "recipients",
    "code": "codes",
    "group": "groups",
    "position": "positions",
    "id": "mails",
    "state": "states",
}
PARAMETERS: Final = ("since", "until", *_LISTS)

Texts = Annotated[list[str], Meta(max_length=1_000)]


class SelectionFields(Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead-lettered records; what is left out does not restrict."""

    since: Instant | None = None
    until: Instant | None = None
    templates: Texts = []
    tenants: Texts = []
    recipients: Annotated[Texts, Meta(description="Addresses.")] = []
    codes: Annotated[list[int], Meta(max_length=1_000, description="SMTP codes.")] = []
    groups: Annotated[Texts, Meta(description="Fingerprints, or how they begin.")] = []
    positions: Annotated[Texts, Meta(description="Such as 3:1204.")] = []
    mails: Annotated[Texts, Meta(description="Public ids of mails.")] = []
    states: Annotated[Texts, Meta(description="Such as open.")] = []
    all: Annotated[bool, Meta(description="Every record there is, where nothing restricts.")] = (
        False
    )


RenewExpiry = Annotated[
    str, Meta(description="Let mails that expire be sent for so long, such as 1h.")
]
AsNew = Annotated[bool, Meta(description="As new mails with ids of their own, also what was sent.")]
Rate = Annotated[float, Meta(gt=0, lt=1e9, description="Mails a second.")]
CanarySize = Annotated[int, Meta(ge=0, le=_MOST_CANARY)]
Share = Annotated[float, Meta(gt=0, le=1, description="A share; 0.1 with a canary by itself.")]
CanaryWait = Annotated[str, Meta(description="A duration such as 5m.")]
Reason = Annotated[str, Meta(max_length=1_000)]


class EditFields(Struct, frozen=True, forbid_unknown_fields=True):
    """What is changed in each mail on its way back."""

    template: str | None = None
    data: dict[str, str] = {}
    renew_expiry: RenewExpiry | None = None
    as_new: AsNew = False


class PaceFields(Struct, frozen=True, forbid_unknown_fields=True):
    """How fast, and when the job stops by itself."""

    rate: Rate | None = None
    canary: CanarySize = 0
    stop_if_failing: Share | None = None
    canary_wait: CanaryWait = "5m"
    force: bool = False


class ReplayRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A replay: of which records, with what changes, how fast, and why."""

    selection: SelectionFields
    edit: EditFields = EditFields()
    pace: PaceFields = PaceFields()
    reason: Reason = ""


class ImportParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How the rows of a body are replayed; with `plan` they are only planned."""

    plan: bool = False
    rate: Rate | None = None
    canary: CanarySize = 0
    stop_if_failing: Share | None = None
    canary_wait: CanaryWait = "5m"
    force: bool = False
    renew_expiry: RenewExpiry | None = None
    as_new: AsNew = False
    reason: Reason = ""


class DiscardRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Records to settle without a replay, and why."""

    selection: SelectionFields
    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class Replay(Struct, frozen=True):
    """What a replay's request means."""

    selection: Selection
    edit: Edit
    pace: Pace
    reason: str


_replays: Final = msgspec.json.Decoder(ReplayRequest)
_discards: Final = msgspec.json.Decoder(DiscardRequest)


def parse_replay(body: bytes) -> Replay:
    """Return the replay that a body asks for.

    Raises:
        Refused: with 400 or 422.
    """
    request = _decoded(body, _replays)
    found: list[FieldProblem] = []
    selection = _selection(request.selection, found)
    return _replay(selection, request, found, ("edit.", "pace."))


def parse_import(parameters: Iterable[tuple[str, str]]) -> tuple[Replay, bool]:
    """Return how a body's rows are to be replayed, and whether that is only planned.

    Raises:
        Refused: with 422.
    """
    try:
        given = msgspec.convert(dict(parameters), ImportParameters, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise invalid([FieldProblem(path.strip("`."), message)]) from error
    edit = EditFields(renew_expiry=given.renew_expiry, as_new=given.as_new)
    pace = PaceFields(
        given.rate, given.canary, given.stop_if_failing, given.canary_wait, given.force
    )
    request = ReplayRequest(SelectionFields(), edit, pace, given.reason)
    return _replay(EVERYTHING, request, [], ("", "")), given.plan


def _replay(
    selection: Selection, request: ReplayRequest, found: list[FieldProblem], at: tuple[str, str]
) -> Replay:
    """Return what a request means; `at` is what its fields' names begin with, in problems."""
    edit, pace = request.edit, request.pace
    more = _read(f"{at[0]}renew_expiry", edit.renew_expiry, parse_duration, found)
    wait = _read(f"{at[1]}canary_wait", pace.canary_wait, parse_duration, found)
    if found:
        raise invalid(found)
    stop_at = pace.stop_if_failing
    if stop_at is None and pace.canary:
        stop_at = _STOP_AT
    return Replay(
        selection,
        Edit(edit.template, edit.data, None, more, edit.as_new),
        Pace(pace.rate, pace.canary, stop_at, wait or 0, pace.force),
        request.reason,
    )


def parse_discard(body: bytes) -> tuple[Selection, str]:
    """Return what a body asks to settle, and why.

    Raises:
        Refused: with 400 or 422.
    """
    request = _decoded(body, _discards)
    found: list[FieldProblem] = []
    selection = _selection(request.selection, found)
    if found:
        raise invalid(found)
    return selection, request.reason


def parse_selection(
    parameters: Iterable[tuple[str, str]], more: Sequence[str] = ()
) -> tuple[Selection, dict[str, str]]:
    """Return what parameters select, and by name those of `more` that were given.

    Raises:
        Refused: with 422 and every parameter that is wrong.
    """
    found: list[FieldProblem] = []
    once: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for name, value in parameters:
        if name in _LISTS:
            lists.setdefault(_LISTS[name], []).extend(value.split(","))
        elif name not in (*PARAMETERS, *more):
            known = ", ".join((*PARAMETERS, *more))
            found.append(FieldProblem(name[:100], f"is no parameter; there are {known}"))
        elif name in once:
            found.append(FieldProblem(name, "must be given once"))
        else:
            once[name] = value
    codes = _each("code", lists.get("codes", []), _code, found)
    selection = Selection(
        since=_read("since", once.get("since"), parse_instant, found),
        until=_read("until", once.get("until"), parse_instant, found),
        templates=frozenset(lists.get("templates", ())),
        tenants=frozenset(lists.get("tenants", ())),
        recipients=_recipients("recipient", lists.get("recipients", []), found),
        codes=frozenset(codes),
        groups=frozenset(lists.get("groups", ())),
        positions=frozenset(lists.get("positions", ())),
        mails=frozenset(lists.get("mails", ())),
        states=frozenset(lists.get("states", ())),
    )
    found += [FieldProblem("", problem) for problem in problems_of(selection)]
    if found:
        raise invalid(found)
    return selection, {name: value for name, value in once.items() if name in more}


def parse_export(parameters: Iterable[tuple[str, str]]) -> Selection:
    """Return what is to be exported; everything only where that is said.

    Raises:
        Refused: with 422.
    """
    selection, more = parse_selection(parameters, ("all",))
    if (selection == EVERYTHING) != (more.get("all") == "true"):
        told = "all=true selects everything, and only where no other parameter selects"
        raise invalid([FieldProblem("all", told)])
    return selection


def parse_limit(text: str | None) -> int:
    """Return the most letters that an answer shall have.

    Raises:
        Refused: with 422.
    """
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_LETTERS:
        return int(text)
    raise invalid([FieldProblem("limit", f"must be a whole number from 1 to {MOST_LETTERS}")])


def parse_reveal(text: str | None) -> bool:
    """Return whether addresses and data are to be shown.

    Raises:
        Refused: with 422.
    """
    if text in (None, "true", "false"):
        return text == "true"
    raise invalid([FieldProblem("reveal", "must be true or false")])


def _selection(fields: SelectionFields, found: list[FieldProblem]) -> Selection:
    selection = Selection(
        since=_milliseconds(fields.since),
        until=_milliseconds(fields.until),
        templates=frozenset(fields.templates),
        tenants=frozenset(fields.tenants),
        recipients=_recipients("selection.recipients", fields.recipients, found),
        codes=frozenset(fields.codes),
        groups=frozenset(fields.groups),
        positions=frozenset(fields.positions),
        mails=frozenset(fields.mails),
        states=frozenset(fields.states),
    )
    found += [FieldProblem("selection", problem) for problem in problems_of(selection)]
    if not found and (selection == EVERYTHING) != fields.all:
        told = (
            "all selects everything: leave the others out"
            if fields.all
            else "must say which records: groups, templates, positions ..., or all: true"
        )
        found.append(FieldProblem("selection", told))
    return selection


def _decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise invalid([FieldProblem(path.strip("`.").removesuffix("[...]"), message)]) from error
    except NOT_JSON as error:
        raise malformed(error) from error


def _milliseconds(instant: Instant | None) -> int | None:
    return None if instant is None else round(instant.timestamp() * 1_000)


def _recipients(
    field: str, addresses: Sequence[str], found: list[FieldProblem]
) -> frozenset[bytes]:
    return frozenset(map(recipient_of, _each(field, addresses, parse_address, found)))


def _each(
    field: str, texts: Sequence[str], parse: Callable[[str], T], found: list[FieldProblem]
) -> list[T]:
    read = (_read(field, text, parse, found) for text in texts)
    return [value for value in read if value is not None]


def _read(
    field: str, text: str | None, parse: Callable[[str], T], found: list[FieldProblem]
) -> T | None:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        found.append(FieldProblem(field, str(error)))
        return None


def _code(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) == 3:
        return int(text)
    raise ValueError("must be an SMTP code such as 550")
