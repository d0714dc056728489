"""How a command ends badly: a message that a person can act on and an exit code, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum


class ExitCode(IntEnum):
    """What the command's exit codes mean."""

    OK = 0
    FAILED = 1
    WRONG_SETTING = 2
    INTERRUPTED = 130


#: `topics plan` has something to do; shares its number with a wrong setting, as diff-like tools do.
WOULD_CHANGE = 2


class CommandFailed(Exception):
    """A command cannot go on. The message names what to do about it."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def explained(*errors: type[Exception], code: ExitCode = ExitCode.FAILED) -> Iterator[None]:
    """Turn errors whose message is written for a person into a `CommandFailed`."""
    try:
        yield
    except errors as error:
        raise CommandFailed(str(error), code) from error
