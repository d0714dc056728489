"""What every request passes before anybody looks at what is in it."""

from dataclasses import dataclass
from typing import NamedTuple

from starlette.requests import Request

from ingest import bodies
from ingest.keys import Authenticator


class Opened(NamedTuple):
    """A request of a known tenant, with its whole body."""

    tenant: str
    media: str
    idempotency_key: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Door:
    """Lets in who has a key, sends a content type that is taken, and does not take for ever."""

    keys: Authenticator
    body_seconds: float

    def tenant(self, request: Request) -> str:
        """Return whose request it is, where its body does not matter.

        Raises:
            Refused: with 401.
        """
        return self.keys.tenant(bodies.text(bodies.read_headers(request), b"authorization"))

    async def opened(self, request: Request, media: tuple[str, ...], limit: int) -> Opened:
        """Return the request's body and what its headers say about it.

        Raises:
            Refused: with 401, 415, or what `bodies.read` raises.
        """
        headers = bodies.read_headers(request)
        tenant = self.keys.tenant(bodies.text(headers, b"authorization"))
        given = bodies.media_type(headers, media)
        body = await bodies.read(request, headers, limit, self.body_seconds)
        return Opened(tenant, given, bodies.text(headers, bodies.IDEMPOTENCY_KEY), body)
