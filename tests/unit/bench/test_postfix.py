"""Where Postfix's test programs come from."""

from pathlib import Path

import pytest

from bench.postfix import PostfixMissing, Programs, find_programs


def test_postfix_s_programs_are_found_on_path(tmp_path: Path) -> None:
    """They are taken from where PATH has them."""
    for name in ("smtp-sink", "smtp-source"):
        program = tmp_path / name
        program.touch(mode=0o755)

    programs = find_programs({"PATH": str(tmp_path)}, elsewhere=())

    assert programs == Programs(str(tmp_path / "smtp-sink"), str(tmp_path / "smtp-source"))


def test_who_lacks_postfix_is_told_what_to_install(tmp_path: Path) -> None:
    """And how to do without."""
    with pytest.raises(PostfixMissing, match=r"apt-get install postfix[\s\S]*--only"):
        find_programs({"PATH": str(tmp_path)}, elsewhere=())
