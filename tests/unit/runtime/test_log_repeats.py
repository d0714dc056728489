"""Log lines that repeat themselves are held back and counted."""

import logging

from runtime.log_repeats import QUIET_SECONDS, RepeatsFilter


def line(text: str, at: float) -> logging.LogRecord:
    record = logging.LogRecord("librdkafka", logging.ERROR, __file__, 1, text, (), None)
    record.created = at
    return record


def test_lines_that_differ_only_in_numbers_are_shown_once_in_a_while() -> None:
    """An outage writes a line every few seconds, not every few milliseconds, and loses no count."""
    repeats = RepeatsFilter()
    shown = [
        record.getMessage()
        for at in range(25)
        if repeats.filter(record := line(f"Connect to 127.0.0.1:{at} failed", float(at)))
    ]
    assert QUIET_SECONDS == 10
    assert shown == [
        "Connect to 127.0.0.1:0 failed",
        "Connect to 127.0.0.1:10 failed (9 more like this were not shown)",
        "Connect to 127.0.0.1:20 failed (9 more like this were not shown)",
    ]


def test_other_lines_are_not_held_back() -> None:
    """Two different faults are two lines."""
    repeats = RepeatsFilter()
    assert repeats.filter(line("refused", 0.0))
    assert repeats.filter(line("unknown host", 0.1))


def test_memory_is_bounded() -> None:
    """A client that never says the same twice does not fill the memory."""
    repeats = RepeatsFilter()
    for number in range(5_000):
        assert repeats.filter(line("x" * number, 0.0))
    assert len(repeats._shown) <= 1_000
