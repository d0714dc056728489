"""A PostgreSQL of the session's own, where there is one on the machine; each test has a database.

The tests of the status view run on SQLite and on PostgreSQL, or say that they ran on SQLite only.
Under CI they fail without PostgreSQL.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Final

import psycopg

from tests.support.wait import wait_until

_SOMEBODY: Final = "postgres"
_START_SECONDS: Final = 60.0
_QUICK: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def find_programs() -> Path | None:
    """Return the directory with `initdb` and `postgres`: on PATH, or where Debian has them."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


def describe() -> str:
    """Say which databases the tests use."""
    programs = find_programs()
    if programs is None:
        return "SQLite only, as there is no initdb: the tests for PostgreSQL do not run"
    return f"SQLite, and PostgreSQL from {programs}"


def kinds() -> list[str]:
    """Return the databases that tests use here; under CI both, so that none is left out unseen."""
    known = os.environ.get("CI") or find_programs() is not None
    return ["sqlite", "postgresql"] if known else ["sqlite"]


class PostgresServer:
    """A server on a free loopback port; a context manager. Its data goes when it is left."""

    def __init__(self) -> None:
        programs = find_programs()
        assert programs is not None, "there is no initdb"
        self._programs = programs
        self._directory = Path(tempfile.mkdtemp(prefix="mailcascade-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def __enter__(self) -> "PostgresServer":
        if os.geteuid() == 0:
            shutil.chown(self._directory, _SOMEBODY)
        options = ["--no-sync", "--auth=trust", "--username=tests", "--encoding=UTF8"]
        self._run("initdb", *options, "-D", str(self._directory / "data")).wait()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start(self) -> None:
        """Start the server and return when it answers."""
        settings = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            *_QUICK,
        ]
        flags = [word for setting in settings for word in ("-c", setting)]
        self._process = self._run("postgres", "-D", str(self._directory / "data"), *flags)
        wait_until(self._answers, _START_SECONDS, "PostgreSQL answers")

    def stop(self) -> None:
        """End the server at once; whoever is connected is cut off."""
        if self._process is not None:
            # SIGQUIT and SIGKILL would leave shared memory behind; SIGINT is the fast shutdown.
            self._process.send_signal(2)
            self._process.wait(_START_SECONDS)
            self._process = None

    def signal(self, number: int) -> None:
        """Send the server's main process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"tests_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://tests@127.0.0.1:{self.port}/{name}"

    def pids(self) -> set[int]:
        """Return the server's main process."""
        return set() if self._process is None else {self._process.pid}

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "log").read_text(errors="replace")
        try:
            psycopg.connect(self._conninfo(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=tests dbname=postgres"

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(self._programs / program), *arguments]
        environ = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
        somebody = {"user": _SOMEBODY, "group": _SOMEBODY, "extra_groups": []}
        user = somebody if os.geteuid() == 0 else {}
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # user by keyword
                command,
                cwd=self._directory,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **user,
            )
