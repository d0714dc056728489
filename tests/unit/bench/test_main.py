"""The command line of the benchmarks."""

from pathlib import Path

import pytest

from bench.__main__ import Options, parse
from bench.worker import PostfixMissing, SmtpTools, find_tools


def test_everything_runs_by_default() -> None:
    """All parts, in the table's order, with many mails, printed only."""
    assert parse([]) == Options(["ingest", "worker", "latency"], quick=False, out=None)


def test_parts_can_be_chosen() -> None:
    """The order is the table's, not the command line's."""
    options = parse(["--only", "latency", "--only", "ingest", "--quick", "--out", "table.md"])

    assert options == Options(["ingest", "latency"], quick=True, out=Path("table.md"))


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the ones that there are."""
    with pytest.raises(SystemExit):
        parse(["--only", "sending"])

    assert "worker" in capsys.readouterr().err


def test_postfix_s_programs_are_found_on_path(tmp_path: Path) -> None:
    """They are taken from where PATH has them."""
    for name in ("smtp-sink", "smtp-source"):
        program = tmp_path / name
        program.touch(mode=0o755)

    tools = find_tools({"PATH": str(tmp_path)}, elsewhere=())

    assert tools == SmtpTools(str(tmp_path / "smtp-sink"), str(tmp_path / "smtp-source"))


def test_who_lacks_postfix_is_told_what_to_install(tmp_path: Path) -> None:
    """And how to do without."""
    with pytest.raises(PostfixMissing, match=r"apt-get install postfix[\s\S]*--only"):
        find_tools({"PATH": str(tmp_path)}, elsewhere=())
