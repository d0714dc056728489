"""Turns what a client sent into a mail, or into the list of everything that is wrong with it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from ingest.diagnosis import covered
from ingest.mails import Mail, Mailbox
from ingest.payloads import MAX_KEY_LENGTH, EmailRequest, SignupRequest
from ingest.problems import FieldProblem, invalid
from runtime.clock import Clock
from schemas.addresses import parse_address
from schemas.catalogue import Catalogue, Template
from schemas.errors import InvalidAddress, UnknownTemplate
from schemas.identity import idempotent_event_id

SIGNUP_TEMPLATE: Final = "signup-confirmation"
DEFAULT_LOCALE: Final = "en"
MAX_NAME_LENGTH: Final = 200
#: Control characters, and the two that end a line in Unicode's eyes: never part of a header.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LANGUAGE_TAG: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_MAX_TAG_LENGTH: Final = 35
_PRINTABLE_ASCII: Final = re.compile(rf"[\x20-\x7e]{{1,{MAX_KEY_LENGTH}}}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

#: The variable that the recipient's name stands in for, where a template takes it.
_NAME_VARIABLE: Final = "name"
_NAME_FIELD: Final = f"data.{_NAME_VARIABLE}"

KEY_RULE: Final = f"must be 1 to {MAX_KEY_LENGTH} printable ASCII characters"


class Sender(NamedTuple):
    """On whose behalf an event is sent, and under which idempotency key."""

    tenant: str
    idempotency_key: str | None = None


class _Fields(NamedTuple):
    """Where the client wrote what is in a `_Wish`."""

    address: str
    name: str
    variables: Mapping[str, str]


class _Wish(msgspec.Struct, frozen=True):
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
    """What a mail is checked against. `ids` name those without an idempotency key."""

    catalogue: Catalogue
    clock: Clock
    ids: Iterator[str]

    def signup(self, request: SignupRequest, problems: list[FieldProblem], sender: Sender) -> Mail:
        """Return the mail of a signup; `problems` are those known already.

        Raises:
            Refused: with every bad field.
        """
        found: list[FieldProblem] = []
        if "confirm_url" in request.data:
            found.append(FieldProblem("data.confirm_url", "belongs beside data, not into it"))
        wish = _Wish(
            SIGNUP_TEMPLATE,
            request.email,
            request.name,
            request.locale,
            {**request.data, "confirm_url": request.confirm_url},
            None,
            None,
            _SIGNUP_FIELDS,
        )
        return self._mail(wish, sender, problems, found)

    def email(self, request: EmailRequest, problems: list[FieldProblem], sender: Sender) -> Mail:
        """Return the mail of a general request; `problems` are those known already.

        Raises:
            Refused: with every bad field.
        """
        wish = _Wish(
            request.template,
            request.to.address,
            request.to.name,
            request.locale,
            request.data,
            request.not_before,
            request.expires_at,
            _EMAIL_FIELDS,
        )
        return self._mail(wish, sender, problems, [])

    def _mail(
        self,
        wish: _Wish,
        sender: Sender,
        known: list[FieldProblem],
        found: list[FieldProblem],
    ) -> Mail:
        now = self.clock.now_ms()
        address = _address(wish, found)
        name = _name(wish, found)
        locale = _locale(wish, found)
        template, data = self._data(wish, name, found)
        not_before = None if wish.not_before is None else _milliseconds(wish.not_before)
        expires_at = _expiry(wish, not_before, now, found)
        if known or found:
            raise invalid(known + [p for p in found if not covered(p.field, known)])
        if expires_at is None and template is not None and template.ttl_ms is not None:
            expires_at = max(now, not_before or now) + template.ttl_ms
        key, tenant = sender.idempotency_key, sender.tenant
        return Mail(
            next(self.ids) if key is None else str(idempotent_event_id(tenant, key, address)),
            now,
            wish.template,
            Mailbox(address, name),
            locale,
            data,
            tenant,
            not_before,
            expires_at,
            key,
        )

    def _data(
        self, wish: _Wish, name: str | None, found: list[FieldProblem]
    ) -> tuple[Template | None, Mapping[str, str]]:
        """Return the template and its variables, the recipient's name among them."""
        data, fields = wish.data, wish.fields
        try:
            template = self.catalogue.get(wish.template)
        except UnknownTemplate as error:
            found.append(FieldProblem("template", str(error)))
            return None, data
        if name and _NAME_VARIABLE in template.variables and _NAME_VARIABLE not in data:
            data = {**data, _NAME_VARIABLE: name}
        for problem in template.check(data):
            field = fields.variables.get(problem.field, problem.field)
            if field == _NAME_FIELD and data is not wish.data:
                field = fields.name
            found.append(FieldProblem(field, problem.message))
        return template, data


def _address(wish: _Wish, found: list[FieldProblem]) -> str:
    try:
        return parse_address(wish.address)
    except InvalidAddress as error:
        found.append(FieldProblem(wish.fields.address, str(error)))
        return ""


def _name(wish: _Wish, found: list[FieldProblem]) -> str | None:
    name = wish.name
    if name is None:
        return None
    if len(name) > MAX_NAME_LENGTH:
        message = f"must have at most {MAX_NAME_LENGTH} characters"
    elif not name.isprintable() and _CONTROL.search(name):
        message = "must not hold control characters"
    else:
        return name.strip() or None
    found.append(FieldProblem(wish.fields.name, message))
    return None


def _locale(wish: _Wish, found: list[FieldProblem]) -> str:
    if wish.locale is None:
        return DEFAULT_LOCALE
    if len(wish.locale) > _MAX_TAG_LENGTH or not _is_language_tag(wish.locale):
        message = "must be a BCP 47 language tag such as en, de-AT or zh-CN"
        found.append(FieldProblem("locale", message))
    return wish.locale


@lru_cache(maxsize=1024)
def _is_language_tag(text: str) -> bool:
    return _LANGUAGE_TAG.fullmatch(text) is not None


def _expiry(wish: _Wish, not_before: int | None, now: int, found: list[FieldProblem]) -> int | None:
    if wish.expires_at is None:
        return None
    expires_at = _milliseconds(wish.expires_at)
    if expires_at <= now:
        found.append(FieldProblem("expires_at", "must be in the future"))
    if not_before is not None and not_before >= expires_at:
        found.append(FieldProblem("not_before", "must be before expires_at"))
    return expires_at


def _milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MILLISECOND
