"""The rules of the code base that no linter knows."""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.metric_catalogue import CATALOGUES

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "runtime", "retry_topics", "consumers", "ingest", "console")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CHANGELOG = ROOT / "CHANGELOG.md"

MOST_MODULE_LINES = 400
MOST_FUNCTION_LINES = 60
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "core", "base"}

#: Reads the world: only where it is somebody's task.
WORLD = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "datetime.now",
    "datetime.utcnow",
    "datetime.datetime.now",
    "os.environ",
    "os.getenv",
}
#: Where the world is read: the clock, and the operator's side, which hands both on.
WORLDLY = (ROOT / "runtime" / "clock.py", ROOT / "console")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


every_module = pytest.mark.parametrize("path", MODULES, ids=_name)


@every_module
def test_a_module_is_short_enough_to_read(path: Path) -> None:
    """Past four hundred lines a module is more than one noun."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_MODULE_LINES


@every_module
def test_a_function_fits_on_a_screen(path: Path) -> None:
    """Sixty lines at most, its docstring included."""
    long = [
        function.name
        for function in _functions(path)
        if (function.end_lineno or 0) - function.lineno + 1 > MOST_FUNCTION_LINES
    ]

    assert long == []


@every_module
def test_a_module_says_what_it_is(path: Path) -> None:
    """A docstring at its top; its name is a noun of ours, not a drawer."""
    assert ast.get_docstring(_tree(path))
    assert path.stem not in DRAWERS
    assert path.parent.name not in DRAWERS


@every_module
def test_time_and_environment_are_parameters(path: Path) -> None:
    """Only the clock asks for the time, only the operator's side for the environment."""
    if any(path.is_relative_to(place) for place in WORLDLY):
        return
    found = {ast.unparse(node) for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)}

    assert found & WORLD == set()


#: Imports every module; tells what was done meanwhile that an import may not do.
_IMPORTER = """
import importlib, json, os, sys, threading

root, modules = sys.argv[1], json.loads(sys.argv[2])
ours = tuple(os.path.join(root, package) + os.sep for package in json.loads(sys.argv[3]))
FORBIDDEN = {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.fork"}
found = []

def watch(event, arguments):
    if event == "socket.bind" and arguments[1] == ("::1", 0):
        return  # urllib3, which testcontainers needs, asks this way whether there is IPv6
    if event in FORBIDDEN:
        found.append(f"{event} {arguments!r}")
    elif event == "open" and str(arguments[0]).startswith(ours):
        if not str(arguments[0]).endswith((".py", ".pyc")) and ".pyc." not in str(arguments[0]):
            found.append(f"open {arguments[0]}")

def reader(number):
    frame = sys._getframe(number)
    while frame and ("_collections_abc" in frame.f_code.co_filename or "os" in (
        frame.f_code.co_filename.removeprefix("<frozen ").rstrip(">"),
        os.path.basename(frame.f_code.co_filename).removesuffix(".py"),
    )):
        frame = frame.f_back
    return frame.f_code.co_filename if frame else ""

original = type(os.environ).__getitem__

def recording(self, key):
    where = reader(2)
    if where.startswith(ours):
        found.append(f"environ {key} in {where}")
    return original(self, key)

type(os.environ).__getitem__ = recording
sys.addaudithook(watch)
for name in modules:
    importlib.import_module(name)
found += [f"thread {t.name}" for t in threading.enumerate() if t is not threading.main_thread()]
print(json.dumps(found))
"""


def _import_all(root: Path, modules: list[str], packages: tuple[str, ...]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTER, str(root), json.dumps(modules), json.dumps(packages)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_nothing_happens_at_import() -> None:
    """No connection, process, thread, data file or environment variable is touched."""
    assert _import_all(ROOT, [_dotted(path) for path in MODULES], PACKAGES) == []


def test_what_happens_at_import_would_be_seen(tmp_path: Path) -> None:
    """The check above is able to fail: it sees each thing that it forbids."""
    package = tmp_path / "careless"
    package.mkdir()
    (package / "data.txt").write_text("data")
    (package / "__init__.py").write_text(
        "import os, pathlib, socket, subprocess, sys, threading\n"
        "os.environ.get('HOME'); os.getenv('HOME'); os.environ['PATH']\n"
        "pathlib.Path(__file__).with_name('data.txt').read_text()\n"
        "socket.socket().bind(('127.0.0.1', 0))\n"
        "subprocess.run([sys.executable, '-c', ''])\n"
        "threading.Thread(target=threading.Event().wait, name='left', daemon=True).start()\n"
    )

    kinds = [found.split()[0] for found in _import_all(tmp_path, ["careless"], ("careless",))]

    assert kinds.count("environ") == 3
    assert {"open", "socket.bind", "subprocess.Popen", "thread"} <= set(kinds)


def test_no_test_is_missed_by_its_file_s_name() -> None:
    """Every file with a test in it has a name that pytest collects."""
    missed = [
        _name(path)
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith("test_")
        and any(function.name.startswith("test_") for function in _functions(path))
    ]

    assert missed == []


def test_every_metric_of_a_catalogue_is_counted_somewhere() -> None:
    """Nobody watches a metric that no code moves; what moves and is in no catalogue raises."""
    packages = {
        "ingest": "ingest",
        "worker": "consumers",
        "projector": "consumers/status",
        "exporter": "consumers/exporter",
    }
    assert packages.keys() == CATALOGUES.keys()
    of_all = (ROOT / "runtime" / "probes.py").read_text(encoding="utf-8")
    idle = [
        metric.name
        for deployable, catalogue in CATALOGUES.items()
        for text in [_text_of(packages[deployable]) + of_all]
        for metric in catalogue
        if f'"{metric.name}"' not in text
    ]

    assert idle == []


def _text_of(package: str) -> str:
    paths = (path for path in MODULES if path.is_relative_to(ROOT / package))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_the_changelog_s_newest_version_is_the_package_s() -> None:
    """Whoever raises one raises the other."""
    headings = [
        line.removeprefix("## ").split()[0].strip("[]")
        for line in CHANGELOG.read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]
    released = [heading for heading in headings if heading.lower() != "unreleased"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert released[0] == project["version"]


def test_a_worker_carries_no_database_and_no_web_framework_in_its_memory() -> None:
    """They would cost each worker process some 35 MiB; the commands that need them load them."""
    heavy = {"alembic", "dns", "fastapi", "opentelemetry", "psycopg", "sqlalchemy"}
    asked = f"import console.cli, consumers.serve, sys; print(*{heavy!r} & sys.modules.keys())"
    shown = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == []
