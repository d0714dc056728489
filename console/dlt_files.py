"""Files of dead-lettered records: written all or not at all, for their owner only, and read."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import fastavro
from fastavro.read import SchemaResolutionError

from console.failures import CommandFailed, ExitCode
from retry_topics.dlt.exported import json_line, row_of_json, row_of_record, schema
from retry_topics.dlt.importing import BadRow, Row
from schemas.framing import UNREADABLE

JSON_LINES: Final = ".jsonl"
AVRO: Final = ".avro"
STDOUT: Final = "-"
#: The longest line that is read, in bytes: several times what the largest record makes.
_MOST_LINE: Final = 32 * 2**20
_WRONG: Final = ExitCode.WRONG_SETTING


def format_of(name: str) -> str:
    """Return the format that a file's name means: its suffix.

    Raises:
        CommandFailed: it means none.
    """
    suffix = JSON_LINES if name == STDOUT else Path(name).suffix.lower()
    if suffix not in (JSON_LINES, AVRO):
        raise CommandFailed(
            f"{name}: files are named {JSON_LINES} (a JSON object a line) or {AVRO}", _WRONG
        )
    return suffix


def write_rows(name: str, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows to a file, which is there once all of them are in it; return how many.

    Its owner only may read it, because it holds addresses. `-` is the standard output.

    Raises:
        CommandFailed: the file cannot be written.
    """
    avro = format_of(name) == AVRO
    counted = _Counted(rows)
    if name == STDOUT:
        sys.stdout.buffer.writelines(map(json_line, counted))
        sys.stdout.buffer.flush()
        return counted.count
    try:
        with _replacing(Path(name)) as file:
            if avro:
                fastavro.writer(file, schema(), counted, codec="deflate")
            else:
                file.writelines(map(json_line, counted))
    except OSError as error:
        raise CommandFailed(f"{name}: cannot be written: {error.strerror}", _WRONG) from error
    return counted.count


def read_rows(name: str) -> Iterator[Row | BadRow]:
    """Yield the rows of a file, one in memory at a time; `-` is the standard input.

    Raises:
        CommandFailed: the file cannot be read.
    """
    avro = format_of(name) == AVRO
    try:
        if name == STDOUT:
            yield from _lines(sys.stdin.buffer)
            return
        with Path(name).open("rb") as file:
            if not avro:
                yield from _lines(file)
                return
            for number, record in enumerate(_records(name, file), start=1):
                yield row_of_record(record, number)
    except OSError as error:
        raise CommandFailed(f"{name}: cannot be read: {error.strerror}", _WRONG) from error


def _lines(file: IO[bytes]) -> Iterator[Row | BadRow]:
    number = 0
    while line := file.readline(_MOST_LINE + 1):
        number += 1
        if len(line) > _MOST_LINE:
            raise CommandFailed(f"line {number}: has more than {_MOST_LINE >> 20} MiB", _WRONG)
        if line.strip():
            yield row_of_json(line, number)


def _records(name: str, file: IO[bytes]) -> Iterator[object]:
    try:
        yield from fastavro.reader(file)
    except (*UNREADABLE, SchemaResolutionError) as error:
        raise CommandFailed(f"{name}: is no Avro file, or damaged: {error}", _WRONG) from error


class _Counted:
    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            self.count += 1
            yield row


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file beside `path` that takes its place in the end; mode 0600 (`mkstemp`)."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
