"""`mailcascade demo`, as a person runs it."""

import re
import signal
from pathlib import Path

import pytest

from tests.support.processes import Command


def test_the_demo_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """All signups end in exactly one place, each tier is used, and everything is stopped."""
    with Command("demo", "--signups=60", environ={"TMPDIR": str(tmp_path)}) as demo:
        assert demo.exit_code() == 0, demo.output
        assert demo.left_behind() == {}
    assert list(tmp_path.iterdir()) == []

    shown = dict(re.findall(r"│ *(\w[^│]*?) *│ *(\d+) │", demo.output))
    # Of 60, 4 in a hundred are greylisted, 3, 3, 2 and 1 meet the other difficulties:
    # 2 + 1 + 1 + 1 + 1, of which the bounce and the endless one die.
    assert shown == {
        "posted": "60",
        "accepted by the API (202)": "60",
        "sent": "58",
        "tried again after 2s": "5",
        "tried again after 4s": "2",
        "tried again after 8s": "1",
        "dead-lettered": "2",
        "duplicates": "0",
        "lost": "0",
        "status view: dead": "2",
        "status view: sent": "58",
        "status view: missing or wrong": "0",
    }
    assert "Hello Ada Lovelace" in demo.output
    assert "sent after 2 failed attempts: 250 2.0.0" in demo.output
    assert "550 5.1.1 No such user here" in demo.output
    assert "shortened to 2s,4s,8s" in demo.output


@pytest.mark.parametrize("moment", ["Kafka is", "Mail catcher", "Posting"])
def test_an_interrupted_demo_leaves_nothing(moment: str, tmp_path: Path) -> None:
    """Ctrl-C while Kafka starts, while the parts start, and while signups are posted."""
    with Command("demo", environ={"TMPDIR": str(tmp_path)}) as demo:
        demo.wait_for(moment)
        demo.signal(signal.SIGINT)

        assert demo.exit_code(60) == 130, demo.output
        assert demo.left_behind() == {}
    assert list(tmp_path.iterdir()) == []
    assert "Everything that was started has been stopped." in demo.output
    assert "Traceback" not in demo.output


def test_a_second_interrupt_ends_the_demo_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    """Whoever does not want to wait for an orderly stop need not; no worker outlives it either."""
    with Command("demo", environ={"TMPDIR": str(tmp_path)}) as demo:
        demo.wait_for("Workers")
        demo.signal(signal.SIGINT)
        demo.signal(signal.SIGINT)

        assert demo.exit_code(30) == 130, demo.output
        assert demo.left_behind() == {}


def test_a_named_kafka_that_does_not_answer_is_an_error() -> None:
    """It is never replaced by an own one in silence."""
    named = {"MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    with Command("demo", environ=named) as demo:
        assert demo.exit_code(60) == 1
        assert demo.left_behind() == {}
    assert "no Kafka answers at 127.0.0.1:9" in demo.output
    assert "ready after" not in demo.output
