"""Passwords for a Postfix of the tests' own: what asks `saslauthd` gets its answers here.

Cyrus SASL sends four strings over a socket (user, password, service, realm), each behind its length
in two bytes, and reads one in the same form that begins with OK or NO.
"""

import socketserver
import threading
from pathlib import Path
from typing import Final, Self

#: The one account.
USER: Final = "app@example.com"
PASSWORD: Final = "p:/@ssé word"

_CONFIGURATION: Final = (
    "pwcheck_method: saslauthd\nsaslauthd_path: {socket}\nmech_list: {mechanism}\n"
)


class _Question(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        user, password, _, realm = (self._string() for _ in range(4))
        # What stands behind the @ of a user's name comes as the realm.
        known = (f"{user}@{realm}", password) == (USER, PASSWORD)
        answer = b"OK" if known else b"NO"
        self.wfile.write(len(answer).to_bytes(2, "big") + answer)

    def _string(self) -> str:
        return self.rfile.read(int.from_bytes(self.rfile.read(2), "big")).decode()


class PasswordDaemon:
    """Answers in a thread of its own while the context lasts."""

    def __init__(self, socket: Path) -> None:
        self._server = socketserver.ThreadingUnixStreamServer(str(socket), _Question)
        # Postfix asks as a user of its own.
        socket.chmod(0o666)
        self._thread = threading.Thread(target=self._server.serve_forever, name="passwords")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def configuration(socket: Path, mechanism: str) -> str:
    """Return what a file of Cyrus SASL says for one mechanism, with passwords from a socket."""
    return _CONFIGURATION.format(socket=socket, mechanism=mechanism)
