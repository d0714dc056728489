"""Tokens for XOAUTH2, from a file that others keep fresh or from a command that prints one."""

import asyncio
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_COMMAND_SECONDS: Final = 30.0
_LONGEST_TOKEN: Final = 8192


class TokenUnavailable(Exception):
    """There is no token to be had. The message never holds one."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file whose content is the token."""

    path: Path

    async def read(self) -> str:
        """Return the file's text; raises TokenUnavailable."""
        try:
            return await asyncio.to_thread(self.path.read_text, "ascii")
        except (OSError, UnicodeError) as error:
            raise TokenUnavailable(f"the token's file cannot be read: {error}") from None


@dataclass(frozen=True, slots=True)
class TokenCommand:
    """A command, started without a shell, whose output is the token."""

    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "TokenCommand":
        """Split a command as a shell would; raises ValueError."""
        words = tuple(shlex.split(text))
        if not words:
            raise ValueError("there is no command")
        return cls(words)

    async def read(self) -> str:
        """Return what the command prints; raises TokenUnavailable."""
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *self.words, stdin=null, stdout=pipe, stderr=null
            )
        except OSError as error:
            raise TokenUnavailable(f"the token's command does not start: {error}") from error
        try:
            async with asyncio.timeout(_COMMAND_SECONDS):
                output, _ = await process.communicate()
        except TimeoutError as error:
            text = f"the token's command did not end within {_COMMAND_SECONDS:g} s"
            raise TokenUnavailable(text) from error
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            raise TokenUnavailable(f"the token's command ended with exit code {process.returncode}")
        return output.decode("ascii", "replace")


TokenOrigin = TokenFile | TokenCommand


class TokenSource:
    """Keeps the token until the relay refuses it. Owned by one event loop."""

    def __init__(self, origin: TokenOrigin) -> None:
        self._origin = origin
        self._lock = asyncio.Lock()
        self._token = ""

    async def get(self) -> str:
        """Return the token, fetched once for all who ask meanwhile; raises TokenUnavailable."""
        async with self._lock:
            if not self._token:
                token = (await self._origin.read()).strip()
                if not token or len(token) > _LONGEST_TOKEN or not _is_token(token):
                    raise TokenUnavailable("what was read is no token")
                self._token = token
            return self._token

    def forget(self, token: str) -> None:
        """Fetch it anew the next time, unless somebody has already."""
        if self._token == token:
            self._token = ""


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
