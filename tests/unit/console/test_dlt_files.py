"""Files of dead-lettered records: what is written comes back, and nothing half is left behind."""

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.dlt_files import format_of, read_rows, write_rows
from console.failures import CommandFailed
from retry_topics.dlt.archive import Found
from retry_topics.dlt.edit import event_fields
from retry_topics.dlt.exported import exported, json_line, row_of_json
from retry_topics.dlt.importing import BadRow, Row
from retry_topics.dlt.states import RecordState, Standing
from schemas.codec import EventCodec, encode
from schemas.dlt_journal import Position
from tests.support.letters import dead_record, journey_of, letter_of, message_of
from tests.support.mailer import signup

EVENT = signup("ada@example.com", expires_at=1_790_000_000_000, idempotency_key="k")


def row(value: bytes | None = None, offset: int = 4) -> dict[str, Any]:
    record = dead_record("mails.dlt", EVENT, journey_of(), 8, value)
    found = Found(
        letter_of(record, offset), Standing(RecordState.OPEN, ""), message_of(record, offset)
    )
    return exported(found, EventCodec(None))


@pytest.mark.parametrize("name", ["dead.jsonl", "dead.avro", "DEAD.AVRO"])
def test_what_is_exported_comes_back(tmp_path: Path, name: str) -> None:
    """With the record's bytes and its event, also where it has none; for its owner's eyes only."""
    path = tmp_path / name
    rows = [row(), row(b"\xffjunk", 5)]

    assert write_rows(str(path), rows) == 2
    lane = int(rows[0]["position"].partition(":")[0])
    assert list(read_rows(str(path))) == [
        Row(1, Position(lane, 4), event_fields(EVENT), encode(EVENT)),
        Row(2, Position(lane, 5), None, b"\xffjunk"),
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_json_has_bytes_in_base64_and_everything_that_is_known(tmp_path: Path) -> None:
    """So that a person can look at each line, and a program can read it."""
    path = tmp_path / "dead.jsonl"
    write_rows(str(path), [row()])
    line = json.loads(path.read_text())

    assert base64.b64decode(line["value"]) == encode(EVENT)
    assert {header["name"] for header in line["headers"]} >= {"mc-history", "x-kept"}
    assert [attempt["code"] for attempt in line["attempts"]] == [550]
    assert (line["state"], line["event"]["recipient"]["address"]) == ("open", "ada@example.com")


@pytest.mark.parametrize("name", ["dead.parquet", "dead", "dead.json"])
def test_another_format_is_refused_and_both_are_named(name: str) -> None:
    """Before anything is read."""
    with pytest.raises(CommandFailed, match=r"\.jsonl.*\.avro"):
        format_of(name)


@pytest.mark.parametrize("name", ["dead.jsonl", "dead.avro"])
def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    """And nothing beside it."""
    path = tmp_path / name
    path.write_text("before")

    def broken() -> Iterator[dict[str, Any]]:
        yield row()
        raise RuntimeError("Kafka is away")

    with pytest.raises(RuntimeError):
        write_rows(str(path), broken())
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "truncated"),
        (b"\xff", "malformed"),
        (b'{"position": "3:1"}', "event"),
        (b'{"position": "three", "event": null}', "no position"),
        (json.dumps({"position": "3:1", "event": {"locale": 1}}).encode(), "locale"),
        (b'{"position": "3:1", "event": null, "value": "%"}', "base64"),
    ],
)
def test_a_line_that_is_no_row_is_told_with_its_number(line: bytes, told: str) -> None:
    """And with what is wrong with it."""
    bad = row_of_json(line, 7)

    assert isinstance(bad, BadRow)
    assert bad.line == 7
    assert told in bad.reason.lower()


def test_a_field_that_no_event_has_is_no_row() -> None:
    """A slip of the pen must not look like a correction."""
    fields = {**row(), "event": {**event_fields(EVENT), "tempalte": "welcome"}}

    assert isinstance(row_of_json(json_line(fields), 1), BadRow)


@given(st.binary(max_size=300))
def test_any_line_is_a_row_or_told(line: bytes) -> None:
    """Whatever is in a file, reading it raises nothing."""
    assert isinstance(row_of_json(line, 1), Row | BadRow)


def test_a_file_that_is_no_avro_is_told(tmp_path: Path) -> None:
    """As is one that is cut short."""
    path = tmp_path / "dead.avro"
    path.write_bytes(b"nothing")
    with pytest.raises(CommandFailed, match="no Avro file"):
        list(read_rows(str(path)))
    write_rows(str(path), [row()] * 50)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CommandFailed, match="damaged"):
        list(read_rows(str(path)))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its name and the reason."""
    with pytest.raises(CommandFailed, match=r"gone\.jsonl: cannot be read: No such file"):
        list(read_rows(str(tmp_path / "gone.jsonl")))
    with pytest.raises(CommandFailed, match="cannot be written"):
        write_rows(str(tmp_path / "no" / "dead.jsonl"), [])
