"""A password's file is read at each login; a broken one leaves the last good password in force."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumers.delivery.passwords import PasswordFile, PasswordUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file as a secret manager writes it."""
    path = tmp_path / "password"
    path.write_text("first secret\n")
    return path


async def test_a_changed_file_is_taken_and_told(path: Path) -> None:
    """The log names relay and file, never the password."""
    password = PasswordFile(path, "relay.example:465")
    with capture_logs() as logs:
        assert await password.get() == "first secret"
        assert await password.get() == "first secret"
        await asyncio.to_thread(path.write_text, "second secret\r\n")
        assert await password.get() == "second secret"

    (line,) = logs
    assert line["event"] == "relay.password_read"
    assert (line["relay"], line["path"]) == ("relay.example:465", str(path))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a\0b", b"x" * 8193])
async def test_a_broken_file_leaves_the_last_password_in_force(path: Path, content: bytes) -> None:
    """It is told once, and again when the file is good."""
    password = PasswordFile(path, "relay.example:465")
    await password.get()
    with capture_logs() as logs:
        await asyncio.to_thread(path.write_bytes, content)
        assert [await password.get() for _ in range(3)] == ["first secret"] * 3
        await asyncio.to_thread(path.write_text, "first secret\n")
        assert await password.get() == "first secret"

    assert [line["event"] for line in logs] == ["relay.password_not_read", "relay.password_read"]
    assert str(path) in logs[0]["error"]


async def test_without_a_password_there_is_none(tmp_path: Path) -> None:
    """A file that never was good says so, with its path."""
    missing = tmp_path / "missing"

    with pytest.raises(PasswordUnavailable, match=f"{missing} cannot be read: No such file"):
        await PasswordFile(missing, "relay.example:465").get()
