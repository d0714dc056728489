"""A log line is one JSON object with an event and fields, and never holds a whole address."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.logs import SUBJECT, configure_logs, get_logger, mask_address, mask_addresses
from runtime.trace_context import TraceContext
from runtime.tracing import within
from tests.support.log_state import logs_as_before


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    with logs_as_before():
        yield


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_event_level_time_part_and_fields() -> None:
    """A program can read every line."""
    stream = io.StringIO()
    configure_logs("info", stream)

    get_logger("worker").info("mail.sent", attempt=2)

    (line,) = _lines(stream)
    assert line.pop("ts")
    assert line == {"event": "mail.sent", "level": "info", "part": "worker", "attempt": 2}


def test_less_than_the_level_is_not_written() -> None:
    """The level holds for our lines and for the libraries'."""
    stream = io.StringIO()
    configure_logs("warning", stream)

    get_logger("worker").info("mail.sent")
    logging.getLogger("librdkafka").info("connected")

    assert stream.getvalue() == ""


def test_addresses_are_masked_wherever_they_are() -> None:
    """In the event, in fields, in what fields contain, in objects and in tracebacks."""
    stream = io.StringIO()
    configure_logs("info", stream)

    try:
        raise ValueError("no mailbox ada@example.com")
    except ValueError as error:
        get_logger("w").exception(
            "for ada@example.com",
            to="Ada <ada@example.com>",
            many=["ada@example.com", {"x": ("ada@example.com",)}],
            error=error,
            raw=b"ada@example.com",
        )

    assert "ada@" not in stream.getvalue()
    (line,) = _lines(stream)
    assert line["to"] == "Ada <a***@example.com>"
    assert line["raw"] == "15 bytes"


def test_the_libraries_lines_join_ours() -> None:
    """The standard library's logging is rendered and masked the same way."""
    stream = io.StringIO()
    configure_logs("info", stream)

    logging.getLogger("librdkafka").error("FAIL for %s", "ada@example.com")

    (line,) = _lines(stream)
    assert (line["part"], line["level"]) == ("librdkafka", "error")
    assert line["event"] == "FAIL for a***@example.com"


def test_a_person_sees_lines_without_json_and_without_addresses() -> None:
    """On a terminal the lines are for reading."""
    stream = _Terminal()
    configure_logs("info", stream)

    try:
        raise ValueError("no mailbox ada@example.com")
    except ValueError:
        get_logger("w").exception("mail.failed", to="ada@example.com")

    text = stream.getvalue()
    assert "mail.failed" in text
    assert "ada@" not in text
    assert not text.startswith("{")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ada@example.com", "a***@example.com"),
        ("<ada@example.com>, bob+x@mail.example", "<a***@example.com>, b***@mail.example"),
        ("smtps://ada:secret@relay:465", "smtps://***@relay:465"),
        ("smtps://***@relay:465", "smtps://***@relay:465"),
        ("no address, only @ and a@", "no address, only @ and a@"),
        ("ä@пример.рф", "ä***@пример.рф"),
    ],
)
def test_what_looks_like_an_address_is_masked(text: str, masked: str) -> None:
    """The first character and the domain stay: enough to find a mail, too little to write to."""
    assert mask_addresses(text) == masked


_LOCAL = st.text(st.characters(categories=["L", "N"], include_characters=".+-_"), min_size=2)


@given(local=_LOCAL, around=st.text(st.sampled_from(" <>,;'\""), min_size=1))
def test_no_local_part_survives(local: str, around: str) -> None:
    """Whatever stands around an address, its local part is gone."""
    masked = mask_addresses(f"{around}{local}@example.com{around}")

    assert masked == f"{around}{mask_address(local + '@example.com')}{around}"
    assert local not in masked.replace("example", "")


class _Mail:
    def log_fields(self) -> dict[str, str]:
        return {"mail_id": "abc", "trace_id": "of the mail"}


def test_every_line_of_a_task_tells_what_the_task_is_about() -> None:
    """Ours and the libraries' alike; what a line says itself counts, then the task's subject."""
    stream = io.StringIO()
    configure_logs("info", stream)

    with within(TraceContext("a" * 32, "b" * 16)):
        get_logger("w").info("a")
        token = SUBJECT.set(_Mail())
        get_logger("w").info("b", mail_id="own")
        logging.getLogger("asyncio").warning("c")
        SUBJECT.reset(token)
    get_logger("w").info("d")

    told = [(line.get("mail_id"), line.get("trace_id")) for line in _lines(stream)]
    assert told == [
        (None, "a" * 32),
        ("own", "of the mail"),
        ("abc", "of the mail"),
        (None, None),
    ]
