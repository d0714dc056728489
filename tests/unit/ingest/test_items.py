"""A batch is taken apart in one go where it is good, item by item where it is not: same items."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bodies import JSON, NDJSON
from ingest.items import items_of
from ingest.payloads import BatchItem
from ingest.problems import Refused

GOOD = [
    b'{"template": "welcome", "to": {"address": "a@example.com"}}',
    b'{"template": "plain", "to": {"address": "\xc3\xbc"}, "data": {"body": "\\n"}}',
    b'{"template":"","to":{"address":""},"expires_at":"2031-01-31T09:00:00Z"}',
]
BAD = [b"7", b"null", b"[]", b'{"template": 1}', b'{"template": "x"}', b"{}"]
BROKEN = [b"{", b'{"to": "\xff"}', b"x", b'{"a": 1} {}', b'"\\ud800"']
spaces = st.sampled_from([b"", b" ", b"\r", b"\t "])
items = st.lists(st.tuples(spaces, st.sampled_from(GOOD + BAD + BROKEN), spaces), max_size=6)
good_items = st.lists(st.tuples(spaces, st.sampled_from(GOOD), spaces), max_size=6)


def read(item: object) -> object:
    """What an item is, or that it is none."""
    if isinstance(item, BatchItem):
        return item
    assert isinstance(item, bytes | msgspec.Raw)
    try:
        return msgspec.json.decode(item, type=BatchItem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@given(items)
def test_lines_are_items_whatever_is_in_their_neighbours(lines: list[tuple[bytes, ...]]) -> None:
    """Each line is what it would be alone."""
    written = [b"".join(line) for line in lines]

    found = items_of(b"\n".join(written), NDJSON[0])

    assert [read(item) for item in found] == [read(line) for line in written]


@given(items | good_items)
def test_an_array_has_the_items_that_it_would_have_one_by_one(
    elements: list[tuple[bytes, ...]],
) -> None:
    """Where it can be taken apart at all."""
    body = b"[" + b",".join(b"".join(element) for element in elements) + b"]"
    try:
        apart = msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.DecodeError:
        with pytest.raises(Refused):
            items_of(body, JSON)
    else:
        assert [read(item) for item in items_of(body, JSON)] == [read(item) for item in apart]


@given(good_items)
def test_good_items_are_read_at_once(elements: list[tuple[bytes, ...]]) -> None:
    """Nothing is left to be read one by one."""
    written = [b"".join(element) for element in elements]

    for body, media in ((b"[" + b",".join(written) + b"]", JSON), (b"\n".join(written), NDJSON[0])):
        assert all(isinstance(item, BatchItem) for item in items_of(body, media))
