"""What is delivered is complete and pinned: lock files, wheel, image, the run of the checks."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUN_LOCK = ROOT / "requirements" / "run.lock"
DEV_LOCK = ROOT / "requirements" / "dev.lock"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

Lock = dict[str, set[str]]

every_lock = pytest.mark.parametrize("path", [RUN_LOCK, DEV_LOCK], ids=lambda path: path.name)


def _entries(text: str) -> list[str]:
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def _lock(path: Path) -> Lock:
    """What is pinned, without markers, and its hashes."""
    locked: Lock = {}
    for entry in _entries(path.read_text(encoding="utf-8")):
        pinned, *hashes = entry.split("--hash=")
        locked[pinned.partition(";")[0].strip()] = {digest.strip() for digest in hashes}
    return locked


def _names(lock: Lock) -> set[str]:
    return {canonicalize_name(pinned.partition("==")[0]) for pinned in lock}


@every_lock
def test_a_lock_file_names_no_host(path: Path) -> None:
    """Where packages come from is the machine's business."""
    text = path.read_text(encoding="utf-8")

    assert re.findall(r"://|--index|--extra-index|--find-links|--trusted-host| @ ", text) == []


@every_lock
def test_every_line_of_a_lock_file_is_pinned_and_hashed(path: Path) -> None:
    """So that pip takes what was tested, or nothing."""
    for pinned, hashes in _lock(path).items():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.!+-]+", pinned)
        assert hashes, pinned
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), pinned


def test_what_runs_is_what_was_tested() -> None:
    """Each dependency of a deployment has the same version and hashes in development."""
    assert _lock(RUN_LOCK).items() <= _lock(DEV_LOCK).items()


def test_the_lock_files_have_every_dependency() -> None:
    """Whatever pyproject.toml asks for is pinned, at a version that it allows."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = [(RUN_LOCK, project["dependencies"]), (RUN_LOCK, extras["otel"])]
    wanted.append((DEV_LOCK, extras["stack"]))
    wanted.append((DEV_LOCK, PROJECT["dependency-groups"]["dev"]))
    for path, requirements in wanted:
        versions = dict(pinned.split("==") for pinned in _lock(path))
        for requirement in map(Requirement, requirements):
            name = canonicalize_name(requirement.name)
            assert requirement.specifier.contains(versions[name]), requirement


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that was built without a network."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (path,) = directory.iterdir()
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_wheel_has_every_file_of_the_packages(wheel: set[str]) -> None:
    """Schemas, templates and pages as well as modules; and nothing of the tests."""
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    metadata = {name for name in wheel if ".dist-info/" in name}

    assert wheel - metadata == files
    assert {"schemas/avro/signup_event.v1.avsc", "schemas/templates/plain/template.toml"} < files
    assert any(name.endswith("/LICENSE") for name in metadata)


def test_the_image_is_built_from_what_is_pinned() -> None:
    """Base images have a full version; pip takes only what has a hash, or our own wheel."""
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    installs = re.findall(r"pip install ([^&\n]+)", DOCKERFILE)

    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])
    assert installs
    for options in installs:
        assert "--require-hashes" in options or "--no-deps --no-index dist/" in options


def test_the_image_runs_as_nobody_special() -> None:
    """The last user is not root, and the command is `mailcascade`."""
    last = DOCKERFILE.rpartition("\nFROM ")[2]

    assert re.findall(r"^USER (\w+)", last, re.MULTILINE) == ["mailcascade"]
    assert 'ENTRYPOINT ["mailcascade"]' in last


def test_the_image_s_build_finds_what_it_copies() -> None:
    """Everything is there, and let in by .dockerignore; every package is copied."""
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copies = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    sources = {word for line in copies for word in line.split()[:-1]}

    assert {source for source in sources if not (ROOT / source).exists()} == set()
    assert {source for source in sources if f"!{source}" not in allowed} == set()
    assert set(PACKAGES) <= sources


def test_the_image_s_builder_has_what_the_build_backend_needs() -> None:
    """The part of the lock file that the Dockerfile takes is hatchling and all its needs."""
    (script,) = re.findall(r"sed -nE '([^']+)'", DOCKERFILE)
    cut = subprocess.run(
        ["sed", "-nE", script, str(DEV_LOCK)], check=True, capture_output=True, text=True
    ).stdout
    taken = {canonicalize_name(entry.partition("==")[0]) for entry in _entries(cut)}

    assert taken == _closure("hatchling")
    assert taken <= _names(_lock(DEV_LOCK))


def _closure(name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = canonicalize_name(waiting.pop())
        if current not in found:
            found.add(current)
            needs = map(Requirement, importlib.metadata.requires(current) or ())
            waiting += [n.name for n in needs if n.marker is None or n.marker.evaluate()]
    return found


def test_the_run_of_the_checks_can_be_started() -> None:
    """`.ci/run` is executable, stops at the first fault, and makes what a person makes."""
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")

    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in text
    assert text.rstrip().endswith("exec make test")
