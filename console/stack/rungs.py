"""Which Kafka the stack stands on: the one that was named, one from Maven, or a container.

The choice is pure; what it needs to know about the machine comes from the probes.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

BOOTSTRAP_SETTING: Final = "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS"
MIN_JAVA: Final = 17
_PROBE_SECONDS: Final = 20.0


class Kind(StrEnum):
    """Where the broker comes from."""

    EXTERNAL = "external"
    JAVA = "java"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True)
class Rung:
    """The broker to use. `where` is its address, the java to run, or empty for Docker."""

    kind: Kind
    where: str
    description: str


@dataclass(frozen=True, slots=True)
class Java:
    """A java on this machine and its major version."""

    path: str
    version: int


@dataclass(frozen=True, slots=True)
class Probes:
    """What is asked about the machine. `docker` returns why it cannot be used, None if it can."""

    java: Callable[[], Java | None]
    maven: Callable[[], bool]
    jars: Callable[[], bool]
    docker: Callable[[], str | None]


class NoBroker(RuntimeError):
    """Nothing on this machine can run a broker; the message says what to install."""


def choose_rung(environ: Mapping[str, str], probes: Probes) -> Rung:
    """Return the first rung that holds: a named Kafka, Java with Maven or with the jars, Docker.

    A named Kafka is taken without a look at anything else, so it is never replaced in silence.

    Raises:
        NoBroker: none holds.
    """
    named = environ.get(BOOTSTRAP_SETTING, "").strip()
    if named:
        return Rung(Kind.EXTERNAL, named, f"the Kafka at {named} ({BOOTSTRAP_SETTING})")
    java = probes.java()
    new_enough = java is not None and java.version >= MIN_JAVA
    maven_or_jars = new_enough and (probes.jars() or probes.maven())
    if java is not None and maven_or_jars:
        return Rung(Kind.JAVA, java.path, f"Apache Kafka from Maven, run by Java {java.version}")
    docker_trouble = probes.docker()
    if docker_trouble is None:
        return Rung(Kind.DOCKER, "", "Apache Kafka in a Docker container")
    raise NoBroker(_what_to_install(java, docker_trouble))


def _what_to_install(java: Java | None, docker_trouble: str) -> str:
    if java is None:
        missing = f"there is no java on PATH (Java >= {MIN_JAVA} is needed)"
        packages = "openjdk-17-jre-headless maven"
    elif java.version < MIN_JAVA:
        missing = f"{java.path} is Java {java.version}, and Kafka needs Java >= {MIN_JAVA}"
        packages = "openjdk-17-jre-headless maven"
    else:
        missing = f"Java {java.version} is there, but mvn, which fetches Kafka's jars, is not"
        packages = "maven"
    return (
        "No Kafka can be started here.\n"
        f"  Java:   {missing}.\n"
        f"  Docker: {docker_trouble}.\n"
        "One of these is enough:\n"
        f"  apt-get install {packages}     (Debian, Ubuntu)\n"
        "  a running Docker engine that this user may use\n"
        f"  {BOOTSTRAP_SETTING}=host:port of a Kafka that runs elsewhere"
    )


def find_java(environ: Mapping[str, str]) -> Java | None:
    """Return the java that JAVA_HOME or PATH names, None where there is none that runs."""
    home = environ.get("JAVA_HOME")
    candidate = str(Path(home, "bin", "java")) if home else "java"
    path = shutil.which(candidate, path=environ.get("PATH"))
    if path is None:
        return None
    asked = subprocess.run(
        [path, "-version"], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
    )
    version = parse_java_version(asked.stderr + asked.stdout)
    return None if asked.returncode != 0 or version is None else Java(path, version)


def parse_java_version(text: str) -> int | None:
    """Return the major version in what `java -version` prints; Java 8 calls itself 1.8."""
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match[1]) if match else None


def has_maven(environ: Mapping[str, str]) -> bool:
    """Tell whether mvn is on PATH."""
    return shutil.which("mvn", path=environ.get("PATH")) is not None
