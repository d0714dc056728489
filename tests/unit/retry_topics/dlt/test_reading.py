"""Reading ahead: the same items, in order, and nothing left open."""

import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from retry_topics.dlt.reading import Ahead


def test_the_next_item_is_made_while_the_last_one_is_used() -> None:
    """One ahead, and in order."""
    made = [threading.Event() for _ in range(3)]

    def items() -> Generator[int, None, None]:
        for number, event in enumerate(made):
            event.set()
            yield number

    seen = []
    for number in Ahead(items()):
        assert all(event.wait(20) for event in made[: number + 2])
        assert not any(event.is_set() for event in made[number + 2 :])
        seen.append(number)

    assert seen == [0, 1, 2]


def test_what_is_left_early_is_closed() -> None:
    """Also while it makes an item, and by no thread that could be in it."""
    closed, go_on = threading.Event(), threading.Event()

    def items() -> Generator[int, None, None]:
        try:
            yield 0
            go_on.wait(20)
            yield 1
        finally:
            closed.set()

    with closing(Ahead(items())) as coming:
        assert next(iter(coming)) == 0
    assert not closed.is_set()
    go_on.set()
    assert closed.wait(20)


def test_what_goes_wrong_is_raised_to_whoever_reads() -> None:
    """After the items before it."""

    def items() -> Generator[int, None, None]:
        yield 0
        raise ValueError("away")

    coming = iter(Ahead(items()))
    assert next(coming) == 0
    with pytest.raises(ValueError, match="away"):
        next(coming)
