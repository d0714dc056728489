"""Lane keys, event ids and public mail ids."""

import base64
import random
from itertools import islice
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import (
    LANE_KEY_BYTES,
    idempotent_event_id,
    lane_key,
    mail_id,
    mail_ids,
    parse_mail_id,
    random_event_ids,
)


def test_a_lane_key_never_changes() -> None:
    """Records of one recipient meet in one lane, whichever release wrote them."""
    assert lane_key("ada@example.com").hex() == "e456c3c9"


def test_spellings_that_differ_in_case_share_a_lane() -> None:
    """Upper and lower case make no second recipient."""
    assert lane_key("Ada@example.com") == lane_key("ada@example.com")


def test_an_idempotent_event_id_never_changes() -> None:
    """A repeated request names the same event, whichever release it meets."""
    assert idempotent_event_id("shop", "order-7", "ada@example.com") == UUID(
        "aa6604fa-4ff2-509a-95c2-c7c28b328d0c"
    )


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_different_requests_have_different_events(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    """Only requests with the same tenant, key and recipient are the same."""
    same = (*one[:2], one[2].casefold()) == (*other[:2], other[2].casefold())

    assert (idempotent_event_id(*one) == idempotent_event_id(*other)) == same


def test_parts_that_join_to_the_same_text_stay_apart() -> None:
    """Where one part ends and the next begins counts."""
    assert idempotent_event_id("a", "bc", "d") != idempotent_event_id("ab", "c", "d")


@given(st.uuids(), st.binary(min_size=LANE_KEY_BYTES, max_size=LANE_KEY_BYTES))
def test_a_mail_id_carries_event_and_lane(event_id: UUID, key: bytes) -> None:
    """Both come back out of the id, in either case."""
    text = mail_id(event_id, key)

    assert parse_mail_id(text) == (event_id, key)
    assert parse_mail_id(text.upper()) == (event_id, key)


@given(st.lists(st.tuples(st.uuids(), st.binary(min_size=4, max_size=4)), max_size=20))
def test_mail_ids_are_base32(events: list[tuple[UUID, bytes]]) -> None:
    """However many are spelled at once, each is what the standard library makes of it."""
    spelled = [base64.b32encode(event.bytes + key).decode().lower() for event, key in events]

    assert mail_ids([(str(event), key) for event, key in events]) == spelled
    assert [mail_id(event, key) for event, key in events] == spelled


def test_random_event_ids_are_version_4_uuids() -> None:
    """Every bit that is not version or variant comes from the source, in order."""
    chance = random.Random(7)
    drawn: list[bytes] = []

    def source(size: int) -> bytes:
        drawn.append(chance.randbytes(size))
        return drawn[-1]

    texts = list(islice(random_event_ids(source), 1_000))

    raw = b"".join(drawn)
    assert texts == [str(UUID(bytes=raw[at : at + 16], version=4)) for at in range(0, 16_000, 16)]


@given(st.text(max_size=40))
def test_what_is_no_mail_id_is_a_value_error(text: str) -> None:
    """Any text is a mail id or refused as one."""
    try:
        event_id, key = parse_mail_id(text)
    except ValueError:
        return
    assert mail_id(event_id, key) == text.lower()


@pytest.mark.parametrize("text", ["", "a" * 31, "a" * 33, "1" * 32])
def test_a_wrong_mail_id_is_refused(text: str) -> None:
    """Wrong length and wrong letters are told apart from ids that nobody knows."""
    with pytest.raises(ValueError, match="mail id"):
        parse_mail_id(text)
