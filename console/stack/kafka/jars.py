"""Kafka's jars: fetched once with Maven, checked against `jars.sha256`, kept in a cache."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

KAFKA_VERSION: Final = "4.3.1"
_POM: Final = Path(__file__).with_name("pom.xml")
_MANIFEST: Final = Path(__file__).with_name("jars.sha256")
_MAVEN_SECONDS: Final = 900.0
_SHOWN_LINES: Final = 15


class JarsUnavailable(RuntimeError):
    """Kafka's jars could not be fetched, or are not the ones that were expected."""


def jar_directory(environ: Mapping[str, str]) -> Path:
    """Return where the jars are kept: below XDG_CACHE_HOME, or ~/.cache without it."""
    cache = environ.get("XDG_CACHE_HOME")
    root = Path(cache) if cache else Path.home() / ".cache"
    return root / "mailcascade" / f"kafka-{KAFKA_VERSION}"


def have_jars(directory: Path) -> bool:
    """Tell whether the jars are there. They arrive all at once, so names are enough to know."""
    return directory.is_dir() and {jar.name for jar in directory.glob("*.jar")} == set(_expected())


def fetch_jars(directory: Path, announce: Callable[[str], None]) -> None:
    """Fetch the jars unless they are there. Callers at the same time wait for the first.

    Raises:
        JarsUnavailable: Maven failed, or a jar has not the expected content.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(directory.with_suffix(".lock")):
        if have_jars(directory):
            return
        announce(f"Fetching Kafka {KAFKA_VERSION} with Maven into {directory} (44 MB, once) ...")
        scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix="fetching-"))
        try:
            _run_maven(scratch)
            _verify(scratch)
            shutil.rmtree(directory, ignore_errors=True)
            scratch.rename(directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_maven(target: Path) -> None:
    command = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", f"--file={_POM}"]
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    try:
        run = subprocess.run(
            command + goal,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_MAVEN_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise JarsUnavailable("mvn, which fetches Kafka's jars, is not on PATH") from error
    except subprocess.TimeoutExpired as error:
        raise JarsUnavailable(f"mvn took longer than {_MAVEN_SECONDS:.0f} s") from error
    if run.returncode != 0:
        shown = "\n".join((run.stdout + run.stderr).splitlines()[-_SHOWN_LINES:])
        raise JarsUnavailable(f"mvn failed with exit code {run.returncode}:\n{shown}")


def _expected() -> dict[str, str]:
    pairs = (line.split() for line in _MANIFEST.read_text().splitlines())
    return {name: digest for digest, name in pairs}


def _verify(directory: Path) -> None:
    found = {
        jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in directory.glob("*.jar")
    }
    wrong = sorted(name for name, digest in _expected().items() ^ found.items())
    if wrong:
        raise JarsUnavailable(
            f"not the jars of {_MANIFEST.name}: {', '.join(dict.fromkeys(wrong))}"
        )
