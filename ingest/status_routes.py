"""The endpoints about mails that were accepted: what became of them, and the demand to stop one.

A tenant is told of its own mails only. A mail whose tenant the view does not know yet counts as one
that it does not know.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from consumers.status.reader import MailStatus
from ingest.bodies import JSON
from ingest.discretion import BY_API, for_tenant
from ingest.door import Door
from ingest.outbox import Publishing, publish_refusal
from ingest.problems import Kind, Refused, refused
from ingest.status_payloads import cancelling, detail_of, over, page_of, unknown
from ingest.status_queries import parse_query
from ingest.status_view import StatusView
from runtime.clock import Clock
from runtime.kafka.records import OutRecord
from runtime.trace_context import first_headers
from schemas.control import ControlAction, ControlCommand, write_command
from schemas.identity import mail_id, parse_mail_id
from schemas.mail_states import SETTLED, MailState

#: What is told is about people, and old a moment later.
_HEADERS: Final = {"Cache-Control": "no-store"}


class _Named(NamedTuple):
    """The mail that a path names; `text` is its id in the one form that is given out."""

    text: str
    event_id: UUID
    lane_key: bytes


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the answers need to know of the pipeline: where demands go, how many retries it has."""

    control: str
    retries: int


class StatusRoutes:
    """Answers what became of mails, and writes down that one is to be stopped."""

    def __init__(
        self,
        door: Door,
        view: StatusView,
        publisher: Publishing,
        clock: Clock,
        pipeline: Pipeline,
    ) -> None:
        self._door = door
        self._view = view
        self._publisher = publisher
        self._clock = clock
        self._control, self._retries = pipeline.control, pipeline.retries
        self._encoder = msgspec.json.Encoder()

    async def email(self, request: Request) -> Response:
        """Tell everything about one mail: 200, or 202 where the view does not know it yet."""
        tenant = self._door.tenant(request)
        named = _named(request)
        mail = _own(await self._view.mail(named.event_id), named, tenant)
        if mail is None:
            return self._answer(unknown(named.text, self._retries), 202)
        return self._answer(detail_of(mail, self._retries), 200)

    async def emails(self, request: Request) -> Response:
        """Tell about the mails that the parameters ask for, newest first."""
        tenant = self._door.tenant(request)
        query = parse_query(request.query_params.multi_items(), tenant)
        page = await self._view.find(query)
        mails = tuple(map(for_tenant, page.mails))
        return self._answer(page_of(replace(page, mails=mails), self._retries), 200)

    async def cancel(self, request: Request) -> Response:
        """Write down that a mail is to be stopped: 202, also where it is over or asked for again.

        It works without the view, too: the worker knows whose the mail is and what became of it.
        """
        tenant = self._door.tenant(request)
        named = _named(request)
        try:
            mail = _own(await self._view.mail(named.event_id), named, tenant)
        except Refused as refusal:
            if refusal.problem.kind is not Kind.NO_STATUS:
                raise
            at = await self._demand(named, tenant)
            return self._answer(cancelling(named.text, None, at), 202)
        if mail is not None and mail.state in SETTLED:
            return self._answer(over(mail, self._retries), 202)
        state = MailState.QUEUED if mail is None else mail.state
        at = await self._demand(named, tenant)
        if mail is not None and mail.cancel_requested_at is not None:
            at = mail.cancel_requested_at
        return self._answer(cancelling(named.text, state, at), 202)

    async def _demand(self, named: _Named, tenant: str) -> int:
        at = self._clock.now_ms()
        command = ControlCommand(
            ControlAction.CANCEL, at, event_id=str(named.event_id), tenant=tenant, by=BY_API
        )
        record = OutRecord(self._control, named.lane_key, write_command(command), first_headers())
        for failure in (await self._publisher.publish_many((record,))).values():
            raise publish_refusal(failure)
        return at

    def _answer(self, body: msgspec.Struct, status: int) -> Response:
        content = self._encoder.encode(body)
        return Response(content, status_code=status, headers=_HEADERS, media_type=JSON)


def _named(request: Request) -> _Named:
    try:
        event_id, lane_key = parse_mail_id(request.path_params["id"])
    except ValueError as error:
        raise refused(Kind.NOT_FOUND, f"There is no such mail: {error}") from error
    return _Named(mail_id(event_id, lane_key), event_id, lane_key)


def _own(mail: MailStatus | None, named: _Named, tenant: str) -> MailStatus | None:
    """Return the mail as its tenant may see it, None if the view does not know whose it is.

    Raises:
        Refused: with 404 where it is another's, or where the id has another lane in it.
    """
    if mail is None or not mail.tenant:
        return None
    if mail.tenant != tenant or mail.mail_id not in ("", named.text):
        raise refused(Kind.NOT_FOUND, "There is no such mail")
    return for_tenant(replace(mail, mail_id=named.text))
