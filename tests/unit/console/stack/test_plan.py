"""What is decided before a stack starts."""

import json
import socket
from pathlib import Path

import pytest

from console.stack.plan import (
    Ports,
    PortTaken,
    StackPlan,
    check_ports,
    kafka_environ,
    part_environ,
    projector_environ,
    settings_file,
    topology,
    without_settings,
)
from console.stack.ports import HOST, free_ports
from console.stack.rungs import BOOTSTRAP_SETTING
from console.stack.stack import lanes_spread
from consumers.status.reader import view_url
from runtime.settings import load_settings


def plan(environ: dict[str, str]) -> StackPlan:
    """Return a plan whose parts inherit this environment."""
    wanted = topology("demo", "2s,4s", 8)
    return StackPlan(Path("/tmp/x"), Ports(1, 2, 3, 4), 2, wanted, environ)  # noqa: S108 - not used


def test_no_mail_of_a_stack_can_leave_the_machine() -> None:
    """A relay that is set outside is replaced by the catcher, also where a file names it."""
    outside = {
        "MAILCASCADE_SMTP_URL": "smtps://relay.example:465",
        "MAILCASCADE_SMTP_URL_FILE": "/run/secrets/relay",
        "MAILCASCADE_MAX_IN_FLIGHT": "7",
    }

    environ = part_environ(plan(outside), load_settings({}), "127.0.0.1:5")

    assert environ["MAILCASCADE_SMTP_URL"] == "smtp://127.0.0.1:2"
    assert "MAILCASCADE_SMTP_URL_FILE" not in environ
    assert environ["MAILCASCADE_MAX_IN_FLIGHT"] == "7"
    assert load_settings(environ).kafka_bootstrap_servers == "127.0.0.1:5"


def test_the_view_is_in_the_stack_s_directory_and_other_shells_can_find_it(tmp_path: Path) -> None:
    """Whatever database is named outside; the file for `MAILCASCADE_CONFIG` holds no secret."""
    outside = {
        "MAILCASCADE_DATABASE_URL": "postgresql+psycopg://ada:secret@db.example/mails",
        "MAILCASCADE_KAFKA_PROPERTIES": '{"sasl.password": "secret"}',
        BOOTSTRAP_SETTING: "kafka.example:9093",
    }
    wanted = plan(outside)
    settings = load_settings(outside)
    file = tmp_path / "settings"
    file.write_text(settings_file(wanted, settings, "kafka.example:9093"))

    parts = load_settings(part_environ(wanted, settings, "kafka.example:9093"))
    shell = load_settings({"MAILCASCADE_CONFIG": str(file)})

    assert view_url(parts) == view_url(shell) == "sqlite:////tmp/x/state/status.db"
    assert (shell.kafka_bootstrap_servers, shell.topic_prefix) == ("kafka.example:9093", "demo")
    assert shell.tiers == parts.tiers
    assert "secret" not in file.read_text()


@pytest.mark.parametrize(("port", "shown"), [("", None), ("0", 0), ("9100", 9103)])
def test_the_projector_s_metrics_are_behind_those_of_the_workers(
    port: str, shown: int | None
) -> None:
    """Worker processes take the port and those after it."""
    environ = {"MAILCASCADE_METRICS_PORT": port}

    apart = projector_environ(environ, load_settings(environ), workers=3)

    assert load_settings(apart).metrics_port == shown


def test_kafka_properties_are_only_for_a_kafka_that_was_named() -> None:
    """An own broker speaks plain text, whatever the properties of another one are."""
    properties = {"MAILCASCADE_KAFKA_PROPERTIES": '{"security.protocol": "SASL_SSL"}'}
    named = {**properties, BOOTSTRAP_SETTING: "kafka.example:9093"}

    own = part_environ(plan(properties), load_settings(properties), "127.0.0.1:5")
    foreign = part_environ(plan(named), load_settings(named), "kafka.example:9093")

    assert json.loads(own["MAILCASCADE_KAFKA_PROPERTIES"]) == {}
    assert json.loads(foreign["MAILCASCADE_KAFKA_PROPERTIES"]) == {"security.protocol": "SASL_SSL"}


def test_a_kafka_that_a_settings_file_names_is_taken_like_one_that_a_variable_names(
    tmp_path: Path,
) -> None:
    """The rung follows the settings, not only the environment."""
    file = tmp_path / "kafka"
    file.write_text("kafka.example:9092")
    environ = {f"{BOOTSTRAP_SETTING}_FILE": str(file)}

    assert kafka_environ(environ, load_settings(environ))[BOOTSTRAP_SETTING] == "kafka.example:9092"
    assert BOOTSTRAP_SETTING not in kafka_environ({}, load_settings({}))


def test_the_demo_is_not_changed_by_settings() -> None:
    """Only what is no setting of ours is inherited."""
    assert without_settings({"PATH": "/bin", "MAILCASCADE_TIERS": "1h"}) == {"PATH": "/bin"}


def test_a_taken_port_is_named_with_the_option_that_changes_it() -> None:
    """The message says what to do."""
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"{port} .* --api-port"):
            check_ports({"--api-port": port})


def test_two_options_cannot_share_a_port() -> None:
    """The second would fail only after the first part has started."""
    (port,) = free_ports(1)
    with pytest.raises(PortTaken, match="--smtp-port and --api-port"):
        check_ports({"--smtp-port": port, "--api-port": port})


@pytest.mark.parametrize(
    ("lanes", "workers", "ready"),
    [
        ([], 1, False),
        ([8], 1, True),
        ([8], 2, False),
        ([8, 0], 2, False),
        ([8, 4], 2, False),
        ([8, 4, 4], 2, True),
        ([8, 5, 3], 2, True),
    ],
)
def test_workers_are_ready_when_each_has_lanes_and_no_lane_is_left(
    lanes: list[int], workers: int, ready: bool
) -> None:
    """Each log line says how many lanes its worker has after a change."""
    log = "not json\n" + "".join(
        json.dumps({"event": "lanes.assigned", "lanes": count}) + "\n" for count in lanes
    )

    assert lanes_spread(log, workers, partitions=8) is ready
