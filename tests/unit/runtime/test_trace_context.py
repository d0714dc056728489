"""A trace's context is read as W3C's standard says, or not at all, and written back as it was."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.trace_context import (
    CURRENT,
    STATE_CHARACTERS,
    TraceContext,
    first_headers,
    parse_context,
    parse_state,
    read_context,
    read_origin,
    with_context,
)
from runtime.tracing import within

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()

hexadecimal = st.text("0123456789abcdef", min_size=32, max_size=32)
contexts = st.builds(
    TraceContext,
    hexadecimal.filter(lambda text: text.strip("0")),
    hexadecimal.map(lambda text: text[:16]).filter(lambda text: text.strip("0")),
    st.integers(0, 3),
    st.sampled_from(["", "congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,t@v=1"]),
)


def test_a_context_is_read() -> None:
    """Ids, whether it is sampled, and the state of whoever traces."""
    read = parse_context(PARENT, b"congo=t61rcWkgMzE , rojo=1")
    assert read == TraceContext(TRACE, SPAN, 1, "congo=t61rcWkgMzE,rojo=1")
    assert read is not None
    assert read.sampled
    unsampled = parse_context(PARENT[:-1] + b"0")
    assert unsampled is not None
    assert not unsampled.sampled


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        PARENT.upper(),
        PARENT + b"-",
        PARENT + b"-later",
        PARENT[:-1],
        b" " + PARENT,
        PARENT + b"\n",
        PARENT.replace(b"-", b"_"),
        b"ff" + PARENT[2:],
        b"0" + PARENT[2:],
        PARENT.replace(TRACE.encode(), b"0" * 32),
        PARENT.replace(SPAN.encode(), b"0" * 16),
        PARENT.replace(b"4bf9", b"4bg9"),
        b"01" + PARENT[2:] + b"x",
    ],
)
def test_a_wrong_context_is_none(parent: bytes) -> None:
    """One wrong character is enough, and its state goes with it."""
    assert parse_context(parent, b"congo=1") is None


def test_of_a_later_version_what_all_versions_have_is_read() -> None:
    """Flags that are not known yet are not carried on."""
    assert parse_context(b"01" + PARENT[2:]) == TraceContext(TRACE, SPAN, 1)
    assert parse_context(b"cc-" + PARENT[3:-2] + b"ff-more") == TraceContext(TRACE, SPAN, 3)


@pytest.mark.parametrize(
    "state",
    [
        b"no-value",
        b"UPPER=1",
        b"a=1,a=2",
        b"a=b=c",
        b"a=\x07",
        "a=\xe9".encode(),
        b"9@9=1",
        b",".join(b"k%d=v" % number for number in range(33)),
    ],
)
def test_a_wrong_state_is_left_out_and_the_rest_stays(state: bytes) -> None:
    """Who traces learns less; the trace goes on."""
    assert parse_context(PARENT, state) == TraceContext(TRACE, SPAN, 1)


def test_a_state_that_is_too_long_loses_its_long_members_first() -> None:
    """Then its last ones."""
    long = f"long={'x' * 200}"
    many = [f"k{number}={'y' * 60}" for number in range(9)]
    kept = parse_state(",".join([many[0], long, *many[1:]]).encode()).split(",")
    assert kept == many[:8]  # 8 of 63 characters and 7 commas are 511


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_nothing_is_read_from_noise(parent: bytes, state: bytes) -> None:
    """Whatever is accepted is safe to write into a header, and into a log."""
    read = parse_context(parent, state)
    assert read is None or re.fullmatch("[0-9a-f]{32}", read.trace_id)
    assert re.fullmatch(r"[\x20-\x7e]*", parse_state(state))


@given(st.lists(st.text("ab,= @k1", max_size=150), max_size=40))
def test_a_state_never_grows_past_its_limit(members: list[str]) -> None:
    """It is written into every record of the mail."""
    assert len(parse_state(",".join(members).encode())) <= STATE_CHARACTERS


@given(contexts, contexts)
def test_a_context_goes_from_record_to_record(first: TraceContext, second: TraceContext) -> None:
    """Each hop writes its own over the last one; where the journey began stays."""
    with within(first):
        begun = (("ce_id", b"1"), *first_headers())
    assert read_context(begun) == read_origin(begun) == first
    hop = with_context(begun, second)
    assert read_context(hop) == second
    assert read_origin(hop) == first
    assert len(hop) == len(dict(hop))
    assert hop[0] == ("ce_id", b"1")


def test_without_a_trace_there_are_no_headers() -> None:
    """What is not traced pays nothing."""
    assert CURRENT.get() is None
    assert first_headers() == ()
    assert read_context((("ce_id", b"1"), ("traceparent", None))) is None
