"""Reads a request's body: its content type, its size, and the JSON in it."""

import asyncio
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from ingest.diagnosis import diagnose
from ingest.problems import FieldProblem, Kind, Refused, invalid, refused

T = TypeVar("T", bound=msgspec.Struct)

JSON: Final = "application/json"
NDJSON: Final = ("application/x-ndjson", "application/ndjson")
IDEMPOTENCY_KEY: Final = b"idempotency-key"
_UTF8: Final = ("utf-8", "utf8", "us-ascii")
#: What the decoder raises for bytes that are no JSON; ValidationError is one of the first.
NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Headers = dict[bytes, bytes]


def read_headers(request: Request) -> Headers:
    """Return the request's headers by lower-case name; of a repeated one the last."""
    return dict(request.scope["headers"])


def text(headers: Headers, name: bytes) -> str | None:
    """Return a header's value as text, None where there is none."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def media_type(headers: Headers, allowed: tuple[str, ...]) -> str:
    """Return the request's content type without its parameters.

    Raises:
        Refused: with 415 where it is not one of those allowed, not UTF-8, or compressed.
    """
    parts = headers.get(b"content-type", b"").decode("latin-1").lower().split(";")
    media = parts[0].strip()
    if media not in allowed:
        given = f"not {media!r}" if media else "but there is none"
        raise refused(Kind.MEDIA, f"The content type must be {' or '.join(allowed)}, {given}")
    for parameter in parts[1:]:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in _UTF8:
            raise refused(Kind.MEDIA, f"The charset must be utf-8, not {value}")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise refused(Kind.MEDIA, "A compressed body is not taken: send it without encoding")
    return media


async def read(request: Request, headers: Headers, limit: int, seconds: float) -> bytes:
    """Return the whole body, which may come in chunks and without a length.

    Raises:
        Refused: with 413 as soon as it is known to be longer than the limit; with 408 where it is
            not complete in time; with 400 where the client went away before its end.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _whole(request, limit)
    except TimeoutError:
        detail = f"The whole body must be here within {seconds:g} seconds"
        raise refused(Kind.TIMEOUT, detail, {"Connection": "close"}) from None


async def _whole(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise refused(Kind.MALFORMED, "The body ended early")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


def parse(
    body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]
) -> tuple[T, list[FieldProblem]]:
    """Return a JSON body in the decoder's shape, and a problem for each field of a wrong shape.

    Raises:
        Refused: with 400 where it is no JSON, with 422 where it is no object.
    """
    try:
        return decoder.decode(body), []
    except msgspec.ValidationError:
        return _diagnosed(body, decoder.type)
    except NOT_JSON as error:
        raise malformed(error) from error


def parse_any(body: bytes | msgspec.Raw) -> object:
    """Return whatever JSON a body holds.

    Raises:
        Refused: with 400 where it is no JSON.
    """
    try:
        return msgspec.json.decode(body)
    except NOT_JSON as error:
        raise malformed(error) from error


def malformed(error: Exception) -> Refused:
    """Return the refusal of bytes that are no JSON."""
    reason = "It is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return refused(Kind.MALFORMED, reason)


def _diagnosed(body: bytes | msgspec.Raw, kind: type[T]) -> tuple[T, list[FieldProblem]]:
    request, problems = diagnose(parse_any(body), kind)
    if request is None:
        raise invalid(problems)
    return request, problems


def _too_large(limit: int) -> Refused:
    return refused(Kind.TOO_LARGE, f"The body may have at most {limit} bytes")
