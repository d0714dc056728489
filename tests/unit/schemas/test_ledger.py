"""Ledger entries: what is written is what Avro writes, and what is read back is what was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from schemas.body import write_long, write_timestamp
from schemas.errors import Undecodable
from schemas.framing import framing
from schemas.ledger import (
    KIND,
    NOBODY,
    LedgerEntry,
    owner_of,
    peek,
    read_entry,
    standing_of,
    write_entry,
)
from schemas.mail_states import MOVING, PARKED, SETTLED, MailState

WRITTEN = [state for state in MailState if state is not MailState.QUEUED]
INSTANTS = st.integers(0, 2**53)
COUNTS = st.integers(0, 2**31 - 1)
WORDS = st.text(st.characters(codec="utf-8"), max_size=40)

entries = st.builds(
    LedgerEntry,
    state=st.sampled_from(WRITTEN),
    generation=COUNTS,
    step=COUNTS,
    attempts=COUNTS,
    owner=st.binary(min_size=4, max_size=4),
    at=INSTANTS,
    due_at=st.none() | INSTANTS,
    template=WORDS,
    tenant=WORDS,
    worker=WORDS,
    reason=WORDS,
    text=st.text(st.characters(codec="utf-8"), max_size=3_000),
    scope=WORDS,
    kind=WORDS,
    phase=WORDS,
    rule=WORDS,
    code=st.none() | st.integers(200, 599),
    enhanced=st.none() | WORDS,
)


@given(entries)
def test_the_bytes_are_what_a_general_avro_writer_writes(entry: LedgerEntry) -> None:
    """The short way to bytes takes no liberties with the schema."""
    assert write_entry(entry) == framing(KIND).write(structs.asdict(entry))


@given(st.integers(-(2**63), 2**63 - 1) | st.integers(-200, 200) | st.integers(0, 2**49))
def test_an_instant_is_written_as_any_long_is(at: int) -> None:
    """Most of it is remembered of the one before, and the bytes are the same."""
    assert write_timestamp(at) == write_long(at)


@given(entries)
def test_an_entry_survives_the_way_there_and_back(entry: LedgerEntry) -> None:
    """Reading gives what was written, and a peek gives the same in short."""
    value = write_entry(entry)

    assert read_entry(value) == entry
    assert peek(value) == standing_of(entry)


@given(entries, st.data())
def test_a_cut_entry_is_refused_in_words(entry: LedgerEntry, data: st.DataObject) -> None:
    """Cut anywhere, reading raises Undecodable and nothing else; a peek may still succeed."""
    value = write_entry(entry)
    cut = value[: data.draw(st.integers(0, len(value) - 1))]

    with pytest.raises(Undecodable):
        read_entry(cut)
    try:
        assert peek(cut) == standing_of(entry)
    except Undecodable:
        pass


@given(st.binary(max_size=200))
def test_garbage_is_refused_in_words(garbage: bytes) -> None:
    """No bytes make a reader raise anything but Undecodable."""
    header = framing(KIND).header
    for value in (garbage, header + garbage):
        for read in (read_entry, peek):
            try:
                read(value)
            except Undecodable:
                pass


def test_a_state_of_a_later_release_is_refused() -> None:
    """Its symbol reads as unknown, which is no state to act upon."""
    value = framing(KIND).write(
        {"state": "unknown", "generation": 0, "step": 0, "attempts": 0, "owner": NOBODY, "at": 0}
    )

    with pytest.raises(Undecodable):
        read_entry(value)
    with pytest.raises(Undecodable):
        peek(value)


def test_every_state_is_moving_settled_or_parked() -> None:
    """The three groups cover all states and share none."""
    assert set(MailState) == MOVING | SETTLED | PARKED
    assert len(MOVING) + len(SETTLED) + len(PARKED) == len(MailState)


def test_tenants_have_owners_of_their_own_and_nobody_is_zeros() -> None:
    """No tenant means anyone."""
    assert owner_of("") == NOBODY
    assert len({owner_of(""), owner_of("default"), owner_of("shop")}) == 3
