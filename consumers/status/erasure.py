"""Removes a recipient's mails from the view, beside the projector that writes it."""

from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import delete, func, make_url, select, update
from sqlalchemy.exc import SQLAlchemyError

from consumers.status.database import (
    FileReplaced,
    UnusableUrl,
    open_writer,
    place_of,
    reason_of,
)
from consumers.status.reader import StatusUnavailable
from consumers.status.recipients import NotHashed, recipient_hash
from consumers.status.tables import MAILS, ONLY, VIEW
from schemas.mail_states import SETTLED, MailState

#: Nothing more is told of these, unless somebody replays them.
_OVER: Final = frozenset({*SETTLED, MailState.DEAD})


class Erased(NamedTuple):
    """How many mails were removed, and how many are not over and stay."""

    removed: int
    under_way: int


def erase(url: str, status_key: str | None, address: str) -> Erased:
    """Remove what the view has of mails to an address that are over.

    A view that is made anew has them again, for as long as Kafka has.

    Raises:
        StatusUnavailable: the view cannot be used; the message says why.
    """
    key = None if status_key is None else status_key.encode()
    try:
        _must_exist(url)
        engine = open_writer(url)
        try:
            with engine.begin() as connection:
                # The projector's transactions begin by this row, so none of them is in between.
                same = update(VIEW).where(VIEW.c.id == ONLY).values(sequence=VIEW.c.sequence)
                connection.execute(same)
                theirs = MAILS.c.recipient_hash == recipient_hash(connection, key, address)
                over = MAILS.c.state.in_([state.value for state in _OVER])
                removed = connection.execute(delete(MAILS).where(theirs, over)).rowcount
                left = select(func.count()).select_from(MAILS).where(theirs)
                return Erased(removed, connection.execute(left).scalar_one())
        finally:
            engine.dispose()
    except (FileReplaced, NotHashed, UnusableUrl) as error:
        raise StatusUnavailable(str(error)) from error
    except SQLAlchemyError as error:
        raise StatusUnavailable(
            f"the status view's database, {place_of(url)}, cannot be used: {reason_of(error)}"
        ) from error


def _must_exist(url: str) -> None:
    """Make sure that no file is made where there is none."""
    if make_url(url).get_backend_name() == "sqlite" and not Path(place_of(url)).is_file():
        raise StatusUnavailable("there is no status view yet; start `mailcascade projector`")
