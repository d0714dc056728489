"""A person's mails are removed from the view while a projector goes on writing it."""

from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from consumers.status.changes import Accepted, Noted
from consumers.status.erasure import Erased, erase
from consumers.status.reader import StatusUnavailable
from consumers.status.store import Progress, Source, ViewStore
from runtime.kafka.records import Partition
from schemas.mail_states import MailState
from schemas.privacy import keyed_hash
from tests.support.status import entry, rows

KEY = "key"
ADA = "ada@example.com"
EVE = "eve@example.com"


def _accepted(number: int, address: str) -> Accepted:
    return Accepted(
        event_id=UUID(int=number).bytes,
        lane=0,
        mail_id=f"mail{number}",
        tenant="shop",
        template="welcome",
        accepted_at=10,
        not_before=None,
        expires_at=None,
        recipient=f"{address[:1]}***@example.com",
        recipient_hash=keyed_hash(KEY.encode(), address),
        generation=0,
        at=10,
    )


def _noted(number: int, state: MailState) -> Noted:
    return Noted(UUID(int=number).bytes, 0, entry(state, 20))


def test_what_is_over_is_removed_and_the_projector_goes_on(database: str) -> None:
    """Mails on their way and other people's stay; the next batch is the projector's as before."""
    states = (MailState.SENT, MailState.DEAD, MailState.RETRY, MailState.HELD)
    with closing(ViewStore(database, "one", "host")) as store:
        store.upgrade(KEY, False)
        store.claim()
        store.begin(Source("cluster", {"main": "1"}), KEY.encode(), False)
        mails = [_accepted(number, ADA) for number in range(4)]
        noted = [_noted(number, state) for number, state in enumerate(states)]
        others = [_accepted(9, EVE), _noted(9, MailState.SENT)]
        store.write(Progress([*mails, *noted, *others], {Partition("main", 0): 6}, 30, 0))

        assert erase(database, KEY, ADA.upper()) == Erased(2, 2)
        store.write(Progress([_noted(2, MailState.SENT)], {Partition("main", 0): 7}, 40, 0))

        assert {key.int for key in rows(database)} == {2, 3, 9}
        assert erase(database, KEY, ADA) == Erased(1, 1)


def test_another_key_finds_nobody(database: str) -> None:
    """That would look as if there were nothing to remove."""
    with closing(ViewStore(database, "one", "host")) as store:
        store.upgrade(KEY, False)
        store.claim()
        store.begin(Source("cluster", {"main": "1"}), KEY.encode(), False)

    with pytest.raises(StatusUnavailable, match="another MAILCASCADE_STATUS_KEY"):
        erase(database, "other", ADA)


def test_no_file_is_made_where_there_is_no_view(tmp_path: Path) -> None:
    """It says what makes one."""
    path = tmp_path / "status.db"

    with pytest.raises(StatusUnavailable, match="mailcascade projector"):
        erase(f"sqlite:///{path}", KEY, ADA)
    assert not path.exists()
