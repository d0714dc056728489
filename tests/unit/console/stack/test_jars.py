"""Kafka's jars in the cache, and when Maven is called for them."""

import os
import stat
from pathlib import Path

import pytest

from console.stack.kafka.jars import JarsUnavailable, fetch_jars, have_jars, jar_directory


@pytest.fixture
def fake_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mvn on PATH whose script the test writes."""
    tool = tmp_path / "bin" / "mvn"
    tool.parent.mkdir()
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    return tool


def write_script(tool: Path, text: str) -> None:
    """Make the tool run this shell script."""
    tool.write_text(f"#!/bin/sh\n{text}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


def test_the_cache_is_where_xdg_says(tmp_path: Path) -> None:
    """XDG_CACHE_HOME wins over the home directory."""
    assert jar_directory({"XDG_CACHE_HOME": str(tmp_path)}).parent == tmp_path / "mailcascade"
    assert jar_directory({}).parent == Path.home() / ".cache" / "mailcascade"


def test_a_failure_of_maven_is_shown_and_leaves_nothing(fake_maven: Path, tmp_path: Path) -> None:
    """What Maven said is in the error, and no half-filled directory remains."""
    write_script(fake_maven, "echo 'Could not transfer artifact'; exit 1")
    target = tmp_path / "cache" / "kafka"

    with pytest.raises(JarsUnavailable, match="Could not transfer artifact"):
        fetch_jars(target, announce=lambda _: None)

    assert [path.name for path in target.parent.iterdir()] == ["kafka.lock"]


def test_a_jar_with_other_content_is_refused(fake_maven: Path, tmp_path: Path) -> None:
    """The jars are pinned by digest, not only by version."""
    script = 'for a in "$@"; do case $a in -DoutputDirectory=*) d=${a#*=};; esac; done\n'
    write_script(fake_maven, script + 'echo tampered > "$d/kafka_2.13-4.3.1.jar"')
    target = tmp_path / "cache" / "kafka"

    with pytest.raises(JarsUnavailable, match=r"kafka_2\.13-4\.3\.1\.jar"):
        fetch_jars(target, announce=lambda _: None)

    assert not have_jars(target)
