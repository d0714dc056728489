"""Turns what a client sent into an event, or into the list of everything that is wrong with it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from ingest.diagnosis import covered
from ingest.payloads import MAX_KEY_LENGTH, EmailRequest, SignupRequest
from ingest.problems import FieldProblem, invalid
from runtime.clock import Clock
from schemas.addresses import parse_address
from schemas.catalogue import Catalogue, Template
from schemas.errors import InvalidAddress, UnknownTemplate
from schemas.events import Recipient, SignupEvent
from schemas.identity import idempotent_event_id

SIGNUP_TEMPLATE: Final = "signup-confirmation"
DEFAULT_LOCALE: Final = "en"
MAX_NAME_LENGTH: Final = 200
#: Control characters, and the two that end a line in Unicode's eyes: never part of a header.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LANGUAGE_TAG: Final = re.compile(r"(?=.{2,35}$)[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", re.ASCII)
_PRINTABLE_ASCII: Final = re.compile(rf"[\x20-\x7e]{{1,{MAX_KEY_LENGTH}}}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

#: The variable that the recipient's name stands in for, where a template takes it.
_NAME_VARIABLE: Final = "name"

KEY_RULE: Final = f"must be 1 to {MAX_KEY_LENGTH} printable ASCII characters"


class Sender(NamedTuple):
    """On whose behalf an event is sent, and under which idempotency key."""

    tenant: str
    idempotency_key: str | None = None


class _Fields(NamedTuple):
    """Where the client wrote what is in a `_Mail`."""

    address: str
    name: str
    variables: Mapping[str, str]


class _Mail(NamedTuple):
    """What every kind of request asks for."""

    template: str
    address: str
    name: str | None
    locale: str | None
    data: Mapping[str, str]
    not_before: datetime | None
    expires_at: datetime | None
    fields: _Fields


_EMAIL_FIELDS: Final = _Fields("to.address", "to.name", {})
_SIGNUP_FIELDS: Final = _Fields("email", "name", {"data.confirm_url": "confirm_url"})


def is_idempotency_key(text: str) -> bool:
    """Tell whether a text may be an idempotency key."""
    return _PRINTABLE_ASCII.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Checks:
    """What an event is checked against. `new_id` names events without an idempotency key."""

    catalogue: Catalogue
    clock: Clock
    new_id: Callable[[], UUID]

    def signup(
        self, request: SignupRequest, problems: list[FieldProblem], sender: Sender
    ) -> SignupEvent:
        """Return the event of a signup; `problems` are those known already.

        Raises:
            Refused: with every bad field.
        """
        found: list[FieldProblem] = []
        if "confirm_url" in request.data:
            found.append(FieldProblem("data.confirm_url", "belongs beside data, not into it"))
        mail = _Mail(
            SIGNUP_TEMPLATE,
            request.email,
            request.name,
            request.locale,
            {**request.data, "confirm_url": request.confirm_url},
            None,
            None,
            _SIGNUP_FIELDS,
        )
        return self._event(mail, sender, problems, found)

    def email(
        self, request: EmailRequest, problems: list[FieldProblem], sender: Sender
    ) -> SignupEvent:
        """Return the event of a general request; `problems` are those known already.

        Raises:
            Refused: with every bad field.
        """
        mail = _Mail(
            request.template,
            request.to.address,
            request.to.name,
            request.locale,
            request.data,
            request.not_before,
            request.expires_at,
            _EMAIL_FIELDS,
        )
        return self._event(mail, sender, problems, [])

    def _event(
        self,
        mail: _Mail,
        sender: Sender,
        known: list[FieldProblem],
        found: list[FieldProblem],
    ) -> SignupEvent:
        now = self.clock.now_ms()
        address = _address(mail, found)
        name = _name(mail, found)
        locale = _locale(mail, found)
        template, data = self._data(mail, name, found)
        not_before = None if mail.not_before is None else _milliseconds(mail.not_before)
        expires_at = _expiry(mail, not_before, now, found)
        if known or found:
            raise invalid(known + [p for p in found if not covered(p.field, known)])
        if expires_at is None and template is not None and template.ttl_ms is not None:
            expires_at = max(now, not_before or now) + template.ttl_ms
        key = sender.idempotency_key
        return SignupEvent(
            self.new_id() if key is None else idempotent_event_id(sender.tenant, key, address),
            now,
            mail.template,
            Recipient(address, name),
            locale,
            data,
            sender.tenant,
            not_before,
            expires_at,
            key,
        )

    def _data(
        self, mail: _Mail, name: str | None, found: list[FieldProblem]
    ) -> tuple[Template | None, Mapping[str, str]]:
        """Return the template and its variables, the recipient's name among them."""
        data, fields = mail.data, mail.fields.variables
        try:
            template = self.catalogue.get(mail.template)
        except UnknownTemplate as error:
            found.append(FieldProblem("template", str(error)))
            return None, data
        if name and _NAME_VARIABLE in template.variables and _NAME_VARIABLE not in data:
            data = {**data, _NAME_VARIABLE: name}
            fields = {**fields, f"data.{_NAME_VARIABLE}": mail.fields.name}
        for problem in template.check(data):
            found.append(FieldProblem(fields.get(problem.field, problem.field), problem.message))
        return template, data


def _address(mail: _Mail, found: list[FieldProblem]) -> str:
    try:
        return parse_address(mail.address)
    except InvalidAddress as error:
        found.append(FieldProblem(mail.fields.address, str(error)))
        return ""


def _name(mail: _Mail, found: list[FieldProblem]) -> str | None:
    if mail.name is None:
        return None
    if len(mail.name) > MAX_NAME_LENGTH:
        message = f"must have at most {MAX_NAME_LENGTH} characters"
    elif _CONTROL.search(mail.name):
        message = "must not hold control characters"
    else:
        return mail.name.strip() or None
    found.append(FieldProblem(mail.fields.name, message))
    return None


def _locale(mail: _Mail, found: list[FieldProblem]) -> str:
    if mail.locale is None:
        return DEFAULT_LOCALE
    if not _LANGUAGE_TAG.fullmatch(mail.locale):
        message = "must be a BCP 47 language tag such as en, de-AT or zh-CN"
        found.append(FieldProblem("locale", message))
    return mail.locale


def _expiry(mail: _Mail, not_before: int | None, now: int, found: list[FieldProblem]) -> int | None:
    if mail.expires_at is None:
        return None
    expires_at = _milliseconds(mail.expires_at)
    if expires_at <= now:
        found.append(FieldProblem("expires_at", "must be in the future"))
    if not_before is not None and not_before >= expires_at:
        found.append(FieldProblem("not_before", "must be before expires_at"))
    return expires_at


def _milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MILLISECOND
