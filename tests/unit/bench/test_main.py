"""The command line of the benchmarks."""

from pathlib import Path

import pytest

from bench.__main__ import Options, parse


def test_everything_runs_by_default() -> None:
    """All parts, in the table's order, with many mails, printed only."""
    assert parse([]) == Options(
        ["ingest", "worker", "distant", "latency", "ledger", "projector", "dlt"],
        quick=False,
        out=None,
    )


def test_parts_can_be_chosen() -> None:
    """The order is the table's, not the command line's."""
    options = parse(["--only", "latency", "--only", "ingest", "--quick", "--out", "table.md"])

    assert options == Options(["ingest", "latency"], quick=True, out=Path("table.md"))


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the ones that there are."""
    with pytest.raises(SystemExit):
        parse(["--only", "sending"])

    assert "worker" in capsys.readouterr().err
