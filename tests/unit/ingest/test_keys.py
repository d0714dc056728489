"""API keys: the file's format, reloading it, and what is compared."""

import os
from pathlib import Path

import pytest

from ingest.keys import KeyFile, KeyFileError, find_tenant, hash_key, new_key, parse_keys
from ingest.problems import Refused
from tests.support.clock import ManualClock


def write(path: Path, text: str, stamp: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(stamp, stamp))


def test_a_file_holds_a_tenant_and_a_hash_per_line():
    """Comments and blank lines do not count; a tenant may have several keys."""
    entries = parse_keys(
        f"# ours\n\nshop:{hash_key('a')}\n shop:{hash_key('b').upper()}\nx:{hash_key('c')}\n"
    )
    assert [entry.tenant for entry in entries] == ["shop", "shop", "x"]
    assert [find_tenant(key, entries) for key in "abcd"] == ["shop", "shop", "x", None]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "no key"),
        ("# only a comment", "no key"),
        ("shop:secret", "line 1"),
        (f"shop:{hash_key('a')}\n:{hash_key('a')}", "line 2"),
        (f"sh op:{hash_key('a')}", "line 1"),
        (f"shop:{hash_key('a')}:x", "line 1"),
    ],
)
def test_a_bad_line_is_named_and_not_shown(text, line):
    """A key that was written in the clear by mistake must not get into a log."""
    with pytest.raises(KeyFileError, match=line) as caught:
        parse_keys(text)
    assert "secret" not in str(caught.value)


def test_new_keys_are_long_and_differ():
    """There is nothing to guess."""
    assert new_key() != new_key()
    assert len(new_key()) > 40


def test_a_changed_file_counts_within_a_second(tmp_path):
    """Without a restart: the new key works, the removed one no longer does."""
    path, clock = tmp_path / "keys", ManualClock()
    write(path, f"shop:{hash_key('old')}\n", 1)
    keys = KeyFile(path, clock)
    write(path, f"shop:{hash_key('new')}\n", 2)
    clock.advance(1)
    assert keys.tenant("Bearer new") == "shop"
    with pytest.raises(Refused):
        keys.tenant("Bearer old")


@pytest.mark.parametrize("broken", ["shop:oops\n", None])
def test_the_last_good_keys_stay_when_a_change_is_bad(tmp_path, broken):
    """Neither a slip nor a missing file turns every client away; mending it counts."""
    path, clock = tmp_path / "keys", ManualClock()
    write(path, f"shop:{hash_key('old')}\n", 1)
    keys = KeyFile(path, clock)
    if broken is None:
        path.unlink()
    else:
        write(path, broken, 2)
    clock.advance(1)
    assert keys.tenant("Bearer old") == "shop"
    write(path, f"shop:{hash_key('new')}\n", 3)
    clock.advance(1)
    assert keys.tenant("bearer new") == "shop"
