"""States: the journal's last word on each record, and whose each is."""

from hypothesis import given
from hypothesis import strategies as st

from retry_topics.dlt.states import LaneStates, RecordState, Standing
from schemas.dlt_journal import (
    NO_EVENT,
    Claim,
    DltEntry,
    EntryState,
    Position,
    claim_key,
    entry_key,
    write_claim,
    write_dlt_entry,
)

TOPIC = "AAAAAAAAAAAAAAAAAAAAAA"
LANE = 3


def said(offset: int, state: EntryState, job: str = "") -> tuple[bytes, bytes]:
    entry = DltEntry(state, 1, job, NO_EVENT, 5)
    return entry_key(TOPIC, Position(LANE, offset)), write_dlt_entry(entry)


def claimed(job: str, offsets: list[int], number: int = 0) -> tuple[bytes, bytes]:
    return claim_key(job, LANE, number), write_claim(Claim(job, TOPIC, offsets))


def states(*records: tuple[bytes, bytes | None]) -> LaneStates:
    lane = LaneStates(TOPIC, LANE)
    for key, value in records:
        lane.apply(key, value)
    return lane


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5_000), st.none() | st.sampled_from(EntryState), st.sampled_from("ab")
        ),
        max_size=60,
    )
)
def test_the_last_entry_of_a_record_counts(
    changes: list[tuple[int, EntryState | None, str]],
) -> None:
    """Whatever came before it, and however many others there are; without one it is open."""
    lane = LaneStates(TOPIC, LANE)
    model: dict[int, Standing] = {}
    for offset, state, job in changes:
        if state is None:
            lane.apply(entry_key(TOPIC, Position(LANE, offset)), None)
            model.pop(offset, None)
            continue
        lane.apply(*said(offset, state, job))
        model[offset] = Standing(RecordState(state.value), job)

    for offset in range(0, 5_001, 7):
        assert lane.of(offset) == model.get(offset, Standing(RecordState.OPEN, ""))
    assert all(lane.of(offset) == standing for offset, standing in model.items())


def test_a_claimed_record_is_taken_until_its_job_settles_it() -> None:
    """What the job has done is left out of what it has left."""
    lane = states(claimed("a", [1, 2, 9]), said(2, EntryState.REPLAYED, "a"))

    assert lane.of(1) == Standing(RecordState.TAKEN, "a")
    assert lane.of(2) == Standing(RecordState.REPLAYED, "a")
    assert lane.of(3).state is RecordState.OPEN
    assert list(lane.left("a")) == [1, 9]
    assert lane.claimants() == {"a"}


def test_a_record_that_is_claimed_again_is_the_new_job_s() -> None:
    """As new mails, what was sent may go out once more: another job's entry does not settle it."""
    lane = states(said(4, EntryState.SENT, "a"), claimed("b", [4]))

    assert lane.of(4) == Standing(RecordState.TAKEN, "b")
    assert list(lane.left("b")) == [4]


def test_a_claim_that_is_taken_back_leaves_what_was() -> None:
    """Open is what was open, sent what was sent."""
    key, value = claimed("b", [4, 5])
    lane = states(said(4, EntryState.SENT, "a"), (key, value), (key, None))

    assert lane.of(4) == Standing(RecordState.SENT, "a")
    assert lane.of(5).state is RecordState.OPEN
    assert list(lane.claims("b")) == []


def test_a_topic_that_was_made_anew_begins_anew() -> None:
    """Its offsets are others, so what is said of the old ones is passed over."""
    key, value = said(4, EntryState.SENT, "a")
    lane = LaneStates("BBBBBBBBBBBBBBBBBBBBBB", LANE)
    lane.apply(key, value)
    lane.apply(*claimed("b", [4]))

    assert lane.of(4).state is RecordState.OPEN
    assert lane.is_untouched()


@given(st.none() | st.binary(max_size=30), st.none() | st.binary(max_size=30))
def test_foreign_records_change_nothing(key: bytes | None, value: bytes | None) -> None:
    """Nor those that are damaged; they are counted."""
    lane = states((key or b"", value), (entry_key(TOPIC, Position(LANE, 7)), b"damaged"))

    assert lane.is_untouched()
    assert lane.unreadable >= 1
