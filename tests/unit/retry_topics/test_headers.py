"""The header codec: strict on write, tolerant on read, bounded, and polite to others' headers."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from retry_topics import headers as h
from retry_topics.failure import Ambiguous, Failure, FailureClass, Phase, Scope
from retry_topics.headers import (
    Attempt,
    Death,
    Journey,
    Origin,
    origin_of,
    read_journey,
    write_journey,
)
from runtime.kafka.records import Headers, Record

instants = st.integers(0, 10**15)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
attempts = st.builds(
    Attempt,
    number=st.integers(1, 10**6),
    at=instants,
    worker=words,
    scope=words,
    kind=words,
    phase=words,
    rule=words,
    text=words,
    code=st.none() | st.integers(200, 599),
    enhanced=st.none() | words,
)
journeys = st.builds(
    Journey,
    attempts=st.integers(0, 10**6),
    generation=st.integers(0, 100),
    due_at=st.none() | instants,
    paused=st.binary(max_size=40),
    first_attempt_at=st.none() | instants,
    origin=st.none()
    | st.builds(
        Origin,
        st.from_regex(r"[a-z][a-z0-9./-]{0,20}", fullmatch=True),
        st.integers(0, 1_000),
        instants,
        instants,
    ),
    history=st.lists(attempts, max_size=4).map(tuple),
    omitted=st.integers(0, 1_000),
    death=st.none() | st.builds(Death, instants, words, words),
)
foreign: st.SearchStrategy[Headers] = st.lists(
    st.tuples(
        st.sampled_from(["ce_id", "traceparent", "mc-unknown", "x", "content-type"]),
        st.none() | st.binary(max_size=20),
    ),
    max_size=5,
).map(tuple)


@given(foreign, journeys)
def test_what_is_written_is_read_again(others: Headers, journey: Journey) -> None:
    """A journey survives its headers."""
    assert read_journey(write_journey(others, journey)) == journey


@given(foreign, journeys, journeys)
def test_headers_of_others_are_kept_in_order_and_ours_replaced(
    others: Headers, first: Journey, second: Journey
) -> None:
    """Writing twice leaves one set of ours, and every other header where it was."""
    twice = write_journey(write_journey(others, first), second)
    assert twice == write_journey(others, second)
    assert twice[: len(others)] == others


OURS = [
    h.ATTEMPT,
    h.GENERATION,
    h.DUE_AT,
    h.FIRST_ATTEMPT_AT,
    h.ORIGIN,
    h.HISTORY,
    h.DEAD_AT,
    h.DEAD_REASON,
    h.DEAD_TEXT,
]
garbage = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from(
        [
            b"-1",
            b"1e9",
            b"9" * 500,
            "١٢".encode(),
            b'{"attempts":[{}],"omitted":0}',
            b'{"attempts":3,"omitted":[]}',
            b'{"omitted":1e400,"attempts":[]}',
            b"[" * 5_000,
            b"a/b/c/d",
        ]
    ),
)


@given(st.lists(st.tuples(st.sampled_from(OURS), garbage), max_size=12).map(tuple))
def test_damaged_headers_never_raise(headers: Headers) -> None:
    """Whatever stands in our headers, reading them gives a journey that can be written."""
    write_journey((), read_journey(headers))


@given(st.integers(0, 120))
def test_the_history_is_bounded_and_keeps_the_first_and_the_last(number: int) -> None:
    """Attempt after attempt the header stays small; nothing of the count is lost."""
    journey = Journey()
    said = Failure(Scope.RECIPIENT, FailureClass.TRANSIENT, Phase.RCPT, "ü" * 900, "greylist", 451)
    for at in range(number):
        journey = journey.failed(said, at, "worker-1")
    headers = dict(write_journey((), journey))
    read = read_journey(tuple(headers.items()))
    assert len(headers.get(h.HISTORY) or b"") <= h.HISTORY_BYTES
    assert len(read.history) + read.omitted == number == read.attempts
    if number:
        assert read.history[-1].number == number
        assert read.history[0].number == 1


@given(st.text(min_size=2_000, max_size=3_000))
def test_the_words_of_a_death_are_bounded(text: str) -> None:
    """A long story does not make a record too large for its topic."""
    journey = replace(Journey(), death=Death(1, "refused", text))
    written = dict(write_journey((), journey))
    assert len(written[h.DEAD_TEXT] or b"") <= 4 * h.DEAD_TEXT_CHARACTERS


def test_an_ambiguous_attempt_is_told_as_such() -> None:
    """The history says that nobody knows whether the mail was accepted."""
    journey = Journey().failed(Ambiguous("connection lost"), 5, "w")
    assert (journey.history[0].kind, journey.history[0].phase) == ("ambiguous", "dot")
    assert (journey.attempts, journey.first_attempt_at) == (1, 5)


def test_the_origin_is_where_the_record_first_stood() -> None:
    """A record that has travelled keeps its origin; a new one stands at it."""
    record = Record("main", 3, 42, 7, b"k", b"v", ())
    assert origin_of(record, Journey()) == Origin("main", 3, 42, 7)
    first = Origin("elsewhere", 1, 2, 3)
    assert origin_of(record, Journey(origin=first)) == first
