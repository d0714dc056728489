"""Postfix's test programs: a mail server and a client in C, the yardstick of the worker."""

import os
import pwd
import resource
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from bench.pipeline import CONNECTIONS, BenchFailed, Pipeline
from console.stack.ports import HOST, is_free

#: Debian puts them here, where only root looks.
_SBIN: Final = ("/usr/sbin",)
_MOST_CLIENTS: Final = 256
_READY_SECONDS: Final = 30.0
_SEND_SECONDS: Final = 300.0


class PostfixMissing(BenchFailed):
    """smtp-sink or smtp-source is not there; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are."""

    sink: str
    source: str


class SourceRound(NamedTuple):
    """What smtp-source needed for all its mails."""

    seconds: float
    cpu_seconds: float


def find_programs(environ: Mapping[str, str], elsewhere: Sequence[str] = _SBIN) -> Programs:
    """Return the programs on PATH, or else those `elsewhere`; raises PostfixMissing."""
    path = os.pathsep.join([environ.get("PATH", os.defpath), *elsewhere])
    sink, source = (shutil.which(name, path=path) for name in ("smtp-sink", "smtp-source"))
    if sink is None or source is None:
        raise PostfixMissing(
            "workers are measured beside smtp-source, and smtp-sink and smtp-source are not there."
            "\nInstall them:  apt-get install postfix     (Debian, Ubuntu; it needs no "
            "configuration)\nor leave out what needs them:  python -m bench --only ingest "
            "--only latency --only projector"
        )
    return Programs(sink, source)


class Postfix:
    """A smtp-sink that listens on the pipeline's SMTP port, and smtp-source to send to it."""

    def __init__(self, programs: Programs, pipeline: Pipeline) -> None:
        """Return when it listens. It ends with the pipeline."""
        port = pipeline.ports.smtp
        # It refuses to be root unless told whom to become; another user would slip the leash.
        user = ["-u", pwd.getpwuid(0).pw_name] if os.geteuid() == 0 else []
        self._address = f"{HOST}:{port}"
        self._program = programs.source
        self._sink = pipeline.start(
            "smtp-sink", [programs.sink, *user, self._address, str(_MOST_CLIENTS)]
        )
        pipeline.wait_until(lambda: not is_free(port), _READY_SECONDS, "smtp-sink listens")

    def send(self, mail: bytes, times: int) -> SourceRound:
        """Let smtp-source send a mail so many times, on connections that are kept open."""
        file = self._sink.spec.log.with_name("mail")
        # It makes CRLF of each LF itself.
        file.write_bytes(mail.replace(b"\r\n", b"\n"))
        command = [
            *(self._program, "-d", "-s", str(CONNECTIONS), "-m", str(times), "-F", str(file)),
            *("-f", "no-reply@example.com", "-t", "person@example.com", self._address),
        ]
        used, began = _children_cpu_seconds(), time.monotonic()
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SEND_SECONDS, check=False
        )
        seconds = time.monotonic() - began
        if done.returncode != 0:
            raise BenchFailed(f"smtp-source ended with exit code {done.returncode}: {done.stderr}")
        return SourceRound(seconds, _children_cpu_seconds() - used)


def _children_cpu_seconds() -> float:
    """Return the CPU time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
