"""The endpoints for one mail: 202 once Kafka has the event, or one problem with every bad field."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest import bodies
from ingest.checks import KEY_RULE, Checks, Sender, is_idempotency_key
from ingest.keys import Authenticator
from ingest.outbox import Outbox, accepted, publish_refusal
from ingest.payloads import EmailRequest, SignupRequest
from ingest.problems import FieldProblem
from ingest.records import Recorder
from runtime.kafka.published import Delivered
from schemas.events import SignupEvent

MAX_BODY: Final = 1024 * 1024


class Intake:
    """Accepts mails one by one."""

    def __init__(
        self, keys: Authenticator, checks: Checks, recorder: Recorder, outbox: Outbox
    ) -> None:
        self._keys = keys
        self._checks = checks
        self._recorder = recorder
        self._outbox = outbox
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
        headers = bodies.read_headers(request)
        tenant = self._keys.tenant(bodies.text(headers, b"authorization"))
        bodies.media_type(headers, (bodies.JSON,))
        body = await bodies.read(request, headers, MAX_BODY)
        key = bodies.text(headers, bodies.IDEMPOTENCY_KEY)
        if key is None or is_idempotency_key(key):
            return Sender(tenant, key), body, []
        return Sender(tenant), body, [FieldProblem("Idempotency-Key", KEY_RULE)]

    async def _answer(self, event: SignupEvent) -> Response:
        entry = self._recorder.entry(event)
        (outcome,) = await self._outbox.put((entry,))
        if not isinstance(outcome, Delivered):
            raise publish_refusal(outcome)
        answer = accepted(entry.mail_id)
        return Response(
            self._encoder.encode(answer),
            status_code=202,
            headers={"Location": answer.status_url},
            media_type=bodies.JSON,
        )
