"""What a worker tells of its outages is read as it was meant, and gives no address away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Undecodable
from schemas.outages import KnownOutage, WorkerOutages, read_outages, write_outages
from schemas.privacy import mask_addresses

INSTANTS = st.integers(0, 2**53)
WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
told = st.builds(
    WorkerOutages,
    worker=WORDS,
    at=INSTANTS,
    lanes=st.lists(st.integers(0, 2**31 - 1), max_size=20).map(tuple),
    outages=st.lists(
        st.builds(
            KnownOutage,
            kind=WORDS,
            what=WORDS,
            reason=WORDS,
            rule=WORDS,
            since=INSTANTS,
            pauses=st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
)


@given(told)
def test_what_is_written_is_read_back(outages: WorkerOutages) -> None:
    """Every field, whatever it holds."""
    assert read_outages(write_outages(outages)) == outages


@given(st.binary(max_size=60) | told.map(lambda outages: write_outages(outages)[:-1]))
def test_bytes_that_tell_nothing_are_undecodable(value: bytes) -> None:
    """Also those that end too soon; nothing else is raised."""
    with pytest.raises(Undecodable):
        read_outages(value)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("<ada@example.com>: relay access denied", "<a***@example.com>: relay access denied"),
        ("to=bob+x@sub.example.com, no", "to=b***@sub.example.com, no"),
        ("Ada@EXAMPLE.com bob@example.com", "A***@EXAMPLE.com b***@example.com"),
        ("no address @ all", "no address @ all"),
        ("5.7.8 Bad credentials", "5.7.8 Bad credentials"),
    ],
)
def test_addresses_in_a_relay_s_words_are_masked(text: str, masked: str) -> None:
    """The rest of the words stays."""
    assert mask_addresses(text) == masked
