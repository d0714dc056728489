"""A relay's password that stands in a file, so that it can be changed while the worker runs."""

import asyncio
import re
from pathlib import Path
from typing import Final

from runtime.logs import get_logger

_log = get_logger("relay")

_MOST_BYTES: Final = 8192
#: What ends a field of AUTH PLAIN.
ENDS_FIELD: Final = re.compile(r"[\x00\x01]")


class PasswordUnavailable(Exception):
    """There is no password to be had. The message never holds one."""


class PasswordFile:
    """The password in a file, read anew at each login. Owned by one event loop.

    A file that cannot be used any more is reported once, and the last good password stays in
    force: an operator's slip must not stop the mail.
    """

    def __init__(self, path: Path, relay: str) -> None:
        """`relay` is the relay's name in logs."""
        self._path = path
        self._relay = relay
        self._password = ""
        self._fault = ""

    async def get(self) -> str:
        """Return the file's text without the line breaks at its end.

        Raises:
            PasswordUnavailable: it cannot be used, and there never was a good one.
        """
        try:
            password = await asyncio.to_thread(_read, self._path)
        except PasswordUnavailable as error:
            if not self._password:
                raise
            if str(error) != self._fault:
                _log.error("relay.password_not_read", relay=self._relay, error=str(error))
            self._fault = str(error)
            return self._password
        if self._password and (password != self._password or self._fault):
            _log.info("relay.password_read", relay=self._relay, path=str(self._path))
        self._password, self._fault = password, ""
        return password


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        text = raw.decode().rstrip("\r\n")
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise PasswordUnavailable(f"the password's file {path} cannot be read: {why}") from None
    except UnicodeDecodeError:
        raise PasswordUnavailable(f"the password's file {path} is not UTF-8 text") from None
    if not text or len(raw) > _MOST_BYTES or ENDS_FIELD.search(text):
        raise PasswordUnavailable(f"the password's file {path} holds no password")
    return text
