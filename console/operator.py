"""Who gives a command, and what a person's words for a mail or a recipient mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from console.failures import CommandFailed, ExitCode
from schemas.addresses import parse_address
from schemas.errors import InvalidAddress
from schemas.identity import mail_id, parse_mail_id

_NOBODY = "operator"


@dataclass(frozen=True, slots=True)
class Order:
    """Who asks, when, and why."""

    by: str
    at: int
    reason: str = ""


class NamedMail(NamedTuple):
    """A mail by its id; `text` is the one form in which ids are given out."""

    text: str
    event_id: UUID
    lane_key: bytes


def operator_of(environ: Mapping[str, str]) -> str:
    """Return the name of the person at the terminal, as far as it is known."""
    return environ.get("SUDO_USER") or environ.get("USER") or _NOBODY


def named_mails(texts: Sequence[str]) -> list[NamedMail]:
    """Return the mails that these ids name, each once.

    Raises:
        CommandFailed: a text is no id; every one that is not is named.
    """
    mails: dict[str, NamedMail] = {}
    problems = []
    for text in texts:
        try:
            event_id, lane_key = parse_mail_id(text)
        except ValueError as error:
            problems.append(f"{text}: {error}")
            continue
        name = mail_id(event_id, lane_key)
        mails[name] = NamedMail(name, event_id, lane_key)
    if problems:
        raise CommandFailed("\n".join(problems), ExitCode.WRONG_SETTING)
    return list(mails.values())


def named_recipient(text: str) -> str:
    """Return the address in the form in which all parts keep it.

    Raises:
        CommandFailed: the text is no address.
    """
    try:
        return parse_address(text)
    except InvalidAddress as error:
        raise CommandFailed(f"{text}: {error}", ExitCode.WRONG_SETTING) from error
