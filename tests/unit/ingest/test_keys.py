"""API keys: the file's format, reloading it, and what is compared."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingest.keys import (
    BadTenantName,
    KeyFile,
    KeyFileError,
    add_key,
    find_tenant,
    hash_key,
    issue_key,
    new_key,
    parse_keys,
)
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


def test_what_becomes_of_a_change_is_logged_once(tmp_path):
    """However many requests come while the file is broken; and when it is good again."""
    path, clock = tmp_path / "keys", ManualClock()
    write(path, f"shop:{hash_key('a')}\n", 1)
    keys = KeyFile(path, clock)
    with capture_logs() as logs:
        for text in ("broken", "broken", f"shop:{hash_key('a')}\n", f"shop:{hash_key('a')}\n"):
            write(path, text, 1)
            clock.advance(2)
            assert keys.tenant("Bearer a") == "shop"

    assert [line["event"] for line in logs] == ["keys.not_reloaded", "keys.reloaded"]


def test_an_issued_key_is_admitted_by_its_line():
    """And the line does not hold the key."""
    issued = issue_key("shop")
    assert find_tenant(issued.key, parse_keys(issued.line)) == "shop"
    assert issued.key not in issued.line


@pytest.mark.parametrize("tenant", ["", "sh op", "a:b", "-a", "a" * 65, "a\n", "ü"])
def test_a_bad_tenant_name_gets_no_key(tmp_path, tenant):
    """The message says what a name may be; no file is made."""
    with pytest.raises(BadTenantName, match="64 letters"):
        add_key(tmp_path / "keys", tenant)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("before", [None, "", f"# ours\nx:{hash_key('x')}", f"x:{hash_key('x')}\n"])
def test_a_key_is_added_to_those_in_a_file(tmp_path, before):
    """Whether or not its last line ends; a new file is its owner's only."""
    path = tmp_path / "keys"
    if before is not None:
        path.write_text(before)
    keys = {"shop": add_key(path, "shop"), "other": add_key(path, "other")}
    if before:
        keys["x"] = "x"
    entries = parse_keys(path.read_text())
    assert {tenant: find_tenant(key, entries) for tenant, key in keys.items()} == {
        tenant: tenant for tenant in keys
    }
    assert len(entries) == len(keys)
    if before is None:
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("before", [b"something else\n", b"\xff\n"])
def test_a_file_of_something_else_is_left_alone(tmp_path, before):
    """A slip of the path must not spoil a file."""
    path = tmp_path / "notes"
    path.write_bytes(before)
    with pytest.raises(KeyFileError):
        add_key(path, "shop")
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    """Not with a traceback."""
    with pytest.raises(KeyFileError, match="cannot be written: No such file"):
        add_key(tmp_path / "missing" / "keys", "shop")
