"""The people of the demo."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from console.stack.catcher.script import tag_of
from console.stack.signups import MIN_SIGNUPS, signups


@given(st.integers(MIN_SIGNUPS, 999))
def test_everyone_signs_up_once_and_every_difficulty_occurs(count: int) -> None:
    """Addresses are different, and at least one has each kind of mail server."""
    people = signups(count)

    assert len({person.address for person in people}) == count
    assert {tag_of(person.address) for person in people} == {
        "",
        "greylist",
        "tempfail1",
        "tempfail2",
        "bounce",
        "tempfail",
    }


def test_two_hundred_people_are_mostly_ordinary() -> None:
    """4 + 3 + 3 + 2 + 1 in a hundred are not."""
    tags = Counter(tag_of(person.address) for person in signups(200))

    assert tags == {
        "": 174,
        "greylist": 8,
        "tempfail1": 6,
        "tempfail2": 6,
        "bounce": 4,
        "tempfail": 2,
    }
