"""Logs in to a relay by the best mechanism that both sides know: XOAUTH2, PLAIN or LOGIN."""

from base64 import b64encode
from typing import Final

from consumers.delivery.connection import Connection, SessionFailed
from consumers.delivery.endpoint import Credentials
from consumers.delivery.reply import Reply
from retry_topics.failure import Failure, FailureClass, Phase, Scope

_AUTHENTICATED: Final = 235
_CHALLENGE: Final = 334
_REFUSED: Final = 535


class CredentialsRefused(SessionFailed):
    """The relay says that the credentials are wrong (535)."""


async def log_in(connection: Connection, credentials: Credentials, token: str) -> None:
    """Authenticate with the token if there is one, else with the password.

    Raises:
        CredentialsRefused: the relay does not know them.
        SessionFailed: it does not log us in for another reason.
    """
    offered = connection.extensions.get("auth", "").upper().split()
    wanted = ("XOAUTH2",) if token else ("PLAIN", "LOGIN")
    match next((name for name in wanted if name in offered), None):
        case "XOAUTH2":
            reply = await _by_token(connection, credentials.username, token)
        case "PLAIN":
            reply = await _by_plain(connection, credentials)
        case "LOGIN":
            reply = await _by_login(connection, credentials)
        case _:
            raise _not_offered(wanted)
    if reply.code == _AUTHENTICATED:
        return
    failure = connection.classify(reply, Phase.AUTH)
    raise CredentialsRefused(failure) if reply.code == _REFUSED else SessionFailed(failure)


async def _by_plain(connection: Connection, credentials: Credentials) -> Reply:
    user, password = credentials.username.encode(), credentials.password.encode()
    return await _auth(connection, b"PLAIN", b64encode(b"\0%b\0%b" % (user, password)))


async def _by_login(connection: Connection, credentials: Credentials) -> Reply:
    """Answer two questions; some relays refuse the user name before they have asked for it."""
    reply = await _auth(connection, b"LOGIN")
    for answer in (credentials.username, credentials.password):
        if reply.code != _CHALLENGE:
            break
        reply = await connection.command(Phase.AUTH, b64encode(answer.encode()))
    return reply


async def _by_token(connection: Connection, user: str, token: str) -> Reply:
    proof = f"user={user}\1auth=Bearer {token}\1\1"
    reply = await _auth(connection, b"XOAUTH2", b64encode(proof.encode()))
    if reply.code == _CHALLENGE:
        # The reason stands in the challenge; the refusal comes once we have answered it.
        reply = await connection.command(Phase.AUTH)
    return reply


async def _auth(connection: Connection, *words: bytes) -> Reply:
    return await connection.command(Phase.AUTH, b"AUTH", *words)


def _not_offered(wanted: tuple[str, ...]) -> SessionFailed:
    text = f"there are credentials, and the relay does not offer AUTH {' or '.join(wanted)}"
    failure = Failure(Scope.ENDPOINT, FailureClass.CONFIG, Phase.AUTH, text, "auth-missing")
    return SessionFailed(failure)
