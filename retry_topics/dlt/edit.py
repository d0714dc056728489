"""Changing mails on their way back: other templates and data, a person's own code, more time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Final, TypeAlias
from uuid import NAMESPACE_URL, UUID, uuid5

from msgspec import structs

from schemas.addresses import parse_address
from schemas.catalogue import Catalogue
from schemas.codec import EventCodec, encode
from schemas.dlt_journal import Position
from schemas.errors import InvalidAddress, UnknownTemplate
from schemas.events import Recipient, SignupEvent
from schemas.replay_jobs import Edit

#: A person's function: gets the event's fields, returns them changed, or None to leave it out.
Transform: TypeAlias = Callable[[dict[str, object]], object]

#: The most that the source of a transformation may have, in bytes.
MOST_SOURCE: Final = 65_536
_FUNCTION: Final = "transform"
_NEW_MAILS: Final = uuid5(NAMESPACE_URL, "urn:mailcascade:replayed-as-new")
_FIXED: Final = ("event_id", "occurred_at", "tenant", "idempotency_key")
_CHANGEABLE: Final = ("template", "recipient", "locale", "data", "not_before", "expires_at")
_CONFLUENT: Final = b"\x00"


class EditRefused(ValueError):
    """The changed mail cannot go out; the message says why."""


class BadTransform(ValueError):
    """The source of a transformation cannot be used; the message says why."""


def load_transform(source: str, name: str) -> Transform:
    """Run a transformation's source and return its function; it is the operator's own code.

    Raises:
        BadTransform: it is too long, does not run, or has no function `transform`.
    """
    if len(source.encode()) > MOST_SOURCE:
        raise BadTransform(f"{name}: has more than {MOST_SOURCE} bytes")
    module = ModuleType("replay_transform")
    try:
        exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102 - what it is for
    except Exception as error:
        raise BadTransform(f"{name}: does not run: {type(error).__name__}: {error}") from error
    function = getattr(module, _FUNCTION, None)
    if not callable(function):
        raise BadTransform(f"{name}: has no function transform(event)")
    found: Transform = function
    return found


@dataclass(frozen=True, slots=True)
class Editor:
    """Applies one job's changes. `job` makes the ids of new mails its own.

    `row` tells what an imported file has in a mail's place, None for the mail as it is.
    """

    edit: Edit
    catalogue: Catalogue
    transform: Transform | None
    job: str
    row: Callable[[Position], SignupEvent | None] | None = None

    def with_row(self, row: Callable[[Position], SignupEvent | None]) -> "Editor":
        """Return one that makes the same changes, to what a file has in a mail's place."""
        return replace(self, row=row)

    def apply(self, event: SignupEvent, position: Position, now: int) -> SignupEvent:
        """Return the event as it goes out at `now`.

        Raises:
            EditRefused: it would not be valid.
        """
        changed = event
        if self.row is not None:
            changed = self.row(position) or event
        if self.edit.template is not None:
            changed = structs.replace(changed, template=self.edit.template)
        if self.edit.data:
            changed = structs.replace(changed, data={**changed.data, **self.edit.data})
        if self.transform is not None:
            changed = self._transformed(changed)
        more = self.edit.renew_expiry_ms
        if more is not None and changed.expires_at is not None:
            changed = structs.replace(changed, expires_at=max(changed.expires_at, now + more))
        if self.edit.as_new:
            new_id = new_mail_id(self.job, position)
            changed = structs.replace(
                changed, event_id=new_id, occurred_at=now, idempotency_key=None
            )
        elif changed.recipient.address != event.recipient.address:
            raise EditRefused("another recipient is another mail: use --as-new")
        self._check(event, changed)
        return changed

    def _check(self, event: SignupEvent, changed: SignupEvent) -> None:
        if (changed.template, changed.data) == (event.template, event.data):
            return
        try:
            template = self.catalogue.get(changed.template)
        except UnknownTemplate as error:
            raise EditRefused(str(error)) from error
        if problems := template.check(changed.data):
            told = "; ".join(f"{problem.field} {problem.message}" for problem in problems)
            raise EditRefused(told)

    def _transformed(self, event: SignupEvent) -> SignupEvent:
        assert self.transform is not None  # noqa: S101 - the caller has asked
        fields = event_fields(event)
        try:
            returned = self.transform(fields)
        except Exception as error:
            raise EditRefused(f"transform raised {type(error).__name__}: {error}") from error
        if returned is None:
            raise EditRefused("transform left it out")
        if not isinstance(returned, Mapping):
            raise EditRefused(f"transform returned {type(returned).__name__}, not the event")
        try:
            return event_from(event, returned)
        except EditRefused as error:
            raise EditRefused(f"transform: {error}") from error


def new_mail_id(job: str, position: Position) -> UUID:
    """Return the event id of the new mail as which a job sends a record."""
    return uuid5(_NEW_MAILS, f"{job}/{position}")


def event_fields(event: SignupEvent) -> dict[str, object]:
    """Return an event's fields by name, as transformations get them; ids are texts."""
    return {
        "event_id": str(event.event_id),
        "occurred_at": event.occurred_at,
        "template": event.template,
        "recipient": {"address": event.recipient.address, "name": event.recipient.name},
        "locale": event.locale,
        "data": dict(event.data),
        "tenant": event.tenant,
        "not_before": event.not_before,
        "expires_at": event.expires_at,
        "idempotency_key": event.idempotency_key,
    }


def encode_like(changed: SignupEvent, event: SignupEvent, value: bytes, codec: EventCodec) -> bytes:
    """Return a changed event as bytes, framed as its original was where that is the same schema.

    An original of another schema becomes one of ours in single-object encoding, which every reader
    takes.

    Raises:
        EditRefused: it cannot be written, or not read again.
    """
    schema_id = None
    if value.startswith(_CONFLUENT):
        schema_id = int.from_bytes(value[1:5], "big")
        if encode(event, schema_id=schema_id) != value:
            schema_id = None
    try:
        encoded = encode(changed, schema_id=schema_id)
        same = codec.decode(encoded) == changed
    except (ValueError, AttributeError, TypeError) as error:
        raise EditRefused(f"it does not fit the schema: {error}") from error
    if not same:
        raise EditRefused("it does not fit the schema")
    return encoded


def event_from(event: SignupEvent, fields: Mapping[str, object]) -> SignupEvent:
    """Return the event that these fields make of it (see `event_fields`).

    Raises:
        EditRefused: a field is wrong, or must not be changed.
    """
    before = event_fields(event)
    for name in _FIXED:
        if fields.get(name) != before[name]:
            raise EditRefused(f"{name} was changed, and cannot be")
    if unknown := sorted(set(fields) - {*_FIXED, *_CHANGEABLE}):
        raise EditRefused(f"there is no field {', '.join(unknown)}")
    template, locale, data = fields.get("template"), fields.get("locale"), fields.get("data")
    if not isinstance(template, str) or not isinstance(locale, str):
        raise EditRefused("template and locale must be texts")
    if not isinstance(data, Mapping) or not all(
        isinstance(part, str) for item in data.items() for part in item
    ):
        raise EditRefused("data must have texts for texts")
    return SignupEvent(
        event_id=UUID(str(event.event_id)),
        occurred_at=event.occurred_at,
        template=template,
        recipient=_recipient(fields.get("recipient"), event.recipient),
        locale=locale,
        data=dict(data),
        tenant=event.tenant,
        not_before=_instant(fields.get("not_before"), "not_before"),
        expires_at=_instant(fields.get("expires_at"), "expires_at"),
        idempotency_key=event.idempotency_key,
    )


def _recipient(value: object, before: Recipient) -> Recipient:
    if not isinstance(value, Mapping):
        raise EditRefused("recipient must have an address")
    address, name = value.get("address"), value.get("name")
    if not isinstance(address, str) or not (name is None or isinstance(name, str)):
        raise EditRefused("recipient must have an address and a name, or None for it")
    if address == before.address:
        return Recipient(address, name)
    try:
        return Recipient(parse_address(address), name)
    except InvalidAddress as error:
        raise EditRefused(f"recipient.address: {error}") from error


def _instant(value: object, name: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise EditRefused(f"{name} must be milliseconds since the epoch, or None")
