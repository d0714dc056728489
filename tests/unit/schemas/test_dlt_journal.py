"""The journal's records: what is written is what Avro writes, and what is read back was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dlt_journal import (
    CLAIM,
    ENTRY,
    Claim,
    ClaimKey,
    DltEntry,
    EntryKey,
    EntryState,
    JobKey,
    Mark,
    Position,
    claim_key,
    entry_key,
    glimpse,
    job_key,
    parse_key,
    parse_position,
    read_claim,
    read_dlt_entry,
    write_claim,
    write_dlt_entry,
)
from schemas.errors import Undecodable
from schemas.framing import framing
from schemas.replay_jobs import (
    KIND,
    Edit,
    JobState,
    Pace,
    ReplayJob,
    Selection,
    read_job,
    write_job,
)

INSTANTS = st.integers(0, 2**53)
OFFSETS = st.integers(0, 2**62)
WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
NAMES = st.from_regex(r"[a-z0-9-]{1,30}", fullmatch=True)
#: As the client spells a topic's id: 22 characters of the base64 alphabet, slashes included.
TOPIC_IDS = st.from_regex(r"[A-Za-z0-9+/]{22}", fullmatch=True)

entries = st.builds(
    DltEntry,
    state=st.sampled_from(EntryState),
    generation=st.integers(0, 2**31 - 1),
    job=WORDS | st.text(min_size=70, max_size=200, alphabet="é"),
    event_id=st.binary(min_size=16, max_size=16),
    at=INSTANTS,
    by=WORDS,
    reason=WORDS,
)
claims = st.builds(
    Claim,
    job=NAMES,
    topic_id=TOPIC_IDS,
    offsets=st.sets(OFFSETS, min_size=1, max_size=50).map(sorted),
)
words = st.frozensets(WORDS, max_size=3)
jobs = st.builds(
    ReplayJob,
    id=NAMES,
    state=st.sampled_from(JobState),
    by=WORDS,
    reason=WORDS,
    created_at=INSTANTS,
    owner=WORDS,
    beat_at=INSTANTS,
    note=WORDS,
    selection=st.builds(
        Selection,
        since=st.none() | INSTANTS,
        until=st.none() | INSTANTS,
        templates=words,
        tenants=words,
        recipients=st.frozensets(st.binary(min_size=20, max_size=20), max_size=3),
        codes=st.frozensets(st.integers(200, 599), max_size=3),
        groups=words,
        positions=words,
        mails=words,
        states=words,
    ),
    ends=st.dictionaries(st.integers(0, 10_000), OFFSETS, max_size=4),
    edit=st.builds(
        Edit,
        template=st.none() | WORDS,
        data=st.dictionaries(WORDS, WORDS, max_size=3),
        transform=st.none() | WORDS,
        renew_expiry_ms=st.none() | INSTANTS,
        as_new=st.booleans(),
    ),
    pace=st.builds(
        Pace,
        rate=st.none() | st.floats(0.1, 1e6),
        canary=st.integers(0, 10_000),
        stop_at=st.none() | st.floats(0, 1),
        canary_wait_ms=INSTANTS,
        force=st.booleans(),
    ),
    counts=st.dictionaries(WORDS, OFFSETS, max_size=4),
)


@given(entries)
def test_an_entry_s_bytes_are_what_a_general_avro_writer_writes(entry: DltEntry) -> None:
    """The short way to bytes takes no liberties with the schema."""
    assert write_dlt_entry(entry) == framing(ENTRY).write(entry._asdict())


@given(entries)
def test_an_entry_survives_the_way_there_and_back(entry: DltEntry) -> None:
    """Reading gives what was written, and a glimpse gives the same in short."""
    value = write_dlt_entry(entry)

    assert read_dlt_entry(value) == entry
    assert glimpse(value) == Mark(entry.state, entry.generation, entry.job)


@given(claims)
def test_a_claim_survives_the_way_there_and_back(claim: Claim) -> None:
    """However far its offsets are apart."""
    read = read_claim(write_claim(claim))

    assert (read.job, read.topic_id, list(read.offsets)) == (
        claim.job,
        claim.topic_id,
        list(claim.offsets),
    )


def test_a_claim_of_neighbours_takes_little() -> None:
    """A whole claim of twenty thousand has far less than a record may have."""
    assert len(write_claim(Claim("j", "t", range(20_000)))) < 1_000


@given(jobs)
def test_a_job_survives_the_way_there_and_back(job: ReplayJob) -> None:
    """Its selection, its changes and its numbers included."""
    assert read_job(write_job(job)) == job


@pytest.mark.parametrize("read", [read_dlt_entry, glimpse, read_claim, read_job])
@given(noise=st.binary(max_size=80), kind=st.sampled_from(["", ENTRY, CLAIM, KIND]))
def test_other_bytes_are_undecodable(read: object, noise: bytes, kind: str) -> None:
    """Whatever they begin with: a value, or `Undecodable`, and nothing else."""
    assert callable(read)
    start = framing(kind).header if kind else b""
    try:
        read(start + noise)
    except Undecodable:
        return


@pytest.mark.parametrize(("count", "gaps"), [(0, b""), (-1, b""), (2, b"x"), (10**9, b"")])
def test_a_claim_that_cannot_be_is_refused(count: int, gaps: bytes) -> None:
    """Nothing is made of a number that the bytes do not bear out."""
    fields = {"job": "j", "topic_id": "t", "count": count, "first": 0, "gaps": gaps}

    with pytest.raises(Undecodable):
        read_claim(framing(CLAIM).write(fields))


@given(TOPIC_IDS, st.integers(0, 10_000), OFFSETS, NAMES)
def test_keys_tell_the_kinds_apart(topic_id: str, number: int, offset: int, job: str) -> None:
    """What a key was made of is read from it."""
    position = Position(number, offset)

    assert parse_key(entry_key(topic_id, position)) == EntryKey(topic_id, position)
    assert parse_key(claim_key(job, number, 3)) == ClaimKey(job, number, 3)
    assert parse_key(job_key(job)) == JobKey(job)


@given(st.none() | st.binary(max_size=40))
def test_a_foreign_key_means_nothing_or_something(key: bytes | None) -> None:
    """It never raises."""
    parse_key(key)


@given(st.integers(0, 10_000), st.integers(0, 10**17))
def test_a_position_reads_as_it_is_written(partition: int, offset: int) -> None:
    """The words of the commands."""
    position = Position(partition, offset)

    assert parse_position(str(position)) == position


@pytest.mark.parametrize("text", ["", "3", "3:", ":4", "3:x", "-1:4", "3:4:5", "3 : 4"])
def test_other_words_are_no_position(text: str) -> None:
    """And the error shows what one looks like."""
    with pytest.raises(ValueError, match="such as"):
        parse_position(text)
