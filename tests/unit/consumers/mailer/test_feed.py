"""A feed gives records out as a list would that is sorted by time and offset each time."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.feed import Feed
from runtime.kafka.records import Record

_WAKES = st.sampled_from([0, 0, 0, 5, 5, 10, 20])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), _WAKES),
        st.tuples(st.just("pop"), st.sampled_from([0, 5, 12, 30])),
        st.tuples(st.just("change"), st.sampled_from([0, 7])),
    ),
    max_size=60,
)


@given(_STEPS)
def test_whichever_is_due_first_goes_first_and_of_equals_the_older_one(
    steps: list[tuple[str, int]],
) -> None:
    feed = Feed(high=4, low=1)
    model: list[tuple[int, int]] = []
    for offset, (what, number) in enumerate(steps):
        if what == "push":
            feed.push(Record("t", 0, offset, 0, None, None, ()), number)
            model.append((number, offset))
        elif what == "change":
            wakes = {at: 0 if at % 2 else number for _, at in model}
            feed.change(lambda record, wakes=wakes: wakes[record.offset])  # type: ignore[misc]
            model = [(wakes[at], at) for _, at in model]
        else:
            popped = feed.pop_due(number)
            due = min(model, default=None)
            if due is None or due[0] > number:
                assert popped is None
            else:
                model.remove(due)
                assert popped is not None
                assert popped.offset == due[1]
        assert len(feed) == len(model)
        assert feed.next_wake() == min((wake for wake, _ in model), default=None)
        assert feed.wants_pause() == (len(model) >= 4)
