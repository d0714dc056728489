"""The endpoints for one mail: 202 once Kafka has the event, or one problem with every bad field."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest import bodies
from ingest.checks import KEY_RULE, Checks, Sender, is_idempotency_key
from ingest.door import Door
from ingest.mails import Mail
from ingest.outbox import Accepted, Outbox, publish_refusal, status_url
from ingest.payloads import EmailRequest, SignupRequest
from ingest.problems import FieldProblem
from ingest.records import Recorder
from ingest.tracing import Traces
from runtime.logs import SUBJECT
from schemas.identity import mail_ids

MAX_BODY: Final = 1024 * 1024
_MEDIA: Final = (bodies.JSON,)


class Intake:
    """Accepts mails one by one."""

    def __init__(
        self, door: Door, checks: Checks, recorder: Recorder, outbox: Outbox, traces: Traces
    ) -> None:
        self._door = door
        self._checks = checks
        self._recorder = recorder
        self._outbox = outbox
        self._traces = traces
        self._signup = msgspec.json.Decoder(SignupRequest)
        self._email = msgspec.json.Decoder(EmailRequest)
        self._encoder = msgspec.json.Encoder()

    async def signups(self, request: Request) -> Response:
        """Accept a signup, to be confirmed by a link in the mail."""
        sender, body, problems = await self._opened(request)
        signup, more = bodies.parse(body, self._signup)
        return await self._answer(self._checks.signup(signup, problems + more, sender))

    async def emails(self, request: Request) -> Response:
        """Accept one mail from any template."""
        sender, body, problems = await self._opened(request)
        email, more = bodies.parse(body, self._email)
        return await self._answer(self._checks.email(email, problems + more, sender))

    async def _opened(self, request: Request) -> tuple[Sender, bytes, list[FieldProblem]]:
        opened = await self._door.opened(request, _MEDIA, MAX_BODY)
        key = opened.idempotency_key
        if key is None or is_idempotency_key(key):
            return Sender(opened.tenant, key), opened.body, []
        return Sender(opened.tenant), opened.body, [FieldProblem("Idempotency-Key", KEY_RULE)]

    async def _answer(self, mail: Mail) -> Response:
        with self._traces.sending(1):
            entry = self._recorder.entry(mail)
            SUBJECT.set(entry)
            for failure in (await self._outbox.put((entry,))).values():
                raise publish_refusal(failure)
        (mail_id,) = mail_ids([(entry.event_id, entry.key)])
        answer = Accepted(mail_id, status_url(mail_id))
        return Response(
            self._encoder.encode(answer),
            status_code=202,
            headers={"Location": answer.status_url},
            media_type=bodies.JSON,
        )
