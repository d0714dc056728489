"""Which Kafka the stack stands on."""

from itertools import product

import pytest

from console.stack.rungs import (
    BOOTSTRAP_SETTING,
    Java,
    Kind,
    NoBroker,
    Probes,
    choose_rung,
    parse_java_version,
)

JAVAS = [None, Java("/usr/bin/java", 11), Java("/usr/bin/java", 17), Java("/usr/bin/java", 25)]
DOCKERS = [None, "no Docker engine answers"]


def never() -> None:
    """Fail: this probe must not be asked."""
    raise AssertionError("a probe was asked for nothing")


def probes(java: Java | None, *, maven: bool, jars: bool, docker: str | None) -> Probes:
    """Return probes with fixed answers."""
    return Probes(lambda: java, lambda: maven, lambda: jars, lambda: docker)


@pytest.mark.parametrize(
    ("java", "maven", "jars", "docker"),
    list(product(JAVAS, [False, True], [False, True], DOCKERS)),
)
def test_java_comes_first_then_docker_then_advice(
    java: Java | None, maven: bool, jars: bool, docker: str | None
) -> None:
    """Java >= 17 with Maven or the jars, else an engine that answers, else an error."""
    machine = probes(java, maven=maven, jars=jars, docker=docker)
    java_holds = java is not None and java.version >= 17 and (maven or jars)

    if java_holds:
        assert choose_rung({}, machine).kind is Kind.JAVA
    elif docker is None:
        assert choose_rung({}, machine).kind is Kind.DOCKER
    else:
        with pytest.raises(NoBroker, match="apt-get install"):
            choose_rung({}, machine)


def test_a_named_kafka_is_used_without_a_look_at_the_machine() -> None:
    """It is never replaced by another rung, whatever there is."""
    blind = Probes(never, never, never, never)  # type: ignore[arg-type]  # they never return

    rung = choose_rung({BOOTSTRAP_SETTING: "kafka.example:9092"}, blind)

    assert (rung.kind, rung.where) == (Kind.EXTERNAL, "kafka.example:9092")


@pytest.mark.parametrize(
    ("java", "packages"),
    [
        (None, "apt-get install openjdk-17-jre-headless maven "),
        (Java("/usr/bin/java", 11), "apt-get install openjdk-17-jre-headless maven "),
        (Java("/usr/bin/java", 17), "apt-get install maven "),
    ],
)
def test_the_advice_names_what_is_missing_and_no_more(java: Java | None, packages: str) -> None:
    """Whoever has Java is told to install Maven only; the reason against Docker is given, too."""
    with pytest.raises(NoBroker) as trouble:
        choose_rung({}, probes(java, maven=False, jars=False, docker="no Docker engine answers"))

    assert packages in str(trouble.value)
    assert "no Docker engine answers" in str(trouble.value)
    assert BOOTSTRAP_SETTING in str(trouble.value)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_401"', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21" 2023-09-19', 21),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ("command not found", None),
    ],
)
def test_the_major_version_is_read_from_what_java_prints(text: str, version: int | None) -> None:
    """Old and new notations, early access builds, and noise before the line."""
    assert parse_java_version(text) == version
