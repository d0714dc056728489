"""What a stack consists of: its ports, its settings, and the environment of each part."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from console.stack.ports import HOST, is_free
from console.stack.rungs import BOOTSTRAP_SETTING
from retry_topics.topology import Topology, parse_tiers
from runtime.setting_sources import PREFIX
from runtime.settings import Settings, env_name

MAIL_FROM: Final = "mailcascade <no-reply@example.com>"
#: Short, for nobody wants to wait for a stack that is stopped.
_DRAIN_SECONDS: Final = "10"


class PortTaken(RuntimeError):
    """A port that was asked for has a listener already."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of the parts. `kafka` means nothing where Kafka is not ours."""

    kafka: int
    smtp: int
    page: int
    api: int


@dataclass(frozen=True, slots=True)
class StackPlan:
    """Everything that is decided before the first process starts.

    `directory` is for data and logs; `environ` is what the parts inherit.
    """

    directory: Path
    ports: Ports
    workers: int
    topology: Topology
    environ: Mapping[str, str]

    @property
    def api_url(self) -> str:
        """Where the API answers."""
        return f"http://{HOST}:{self.ports.api}"

    @property
    def state_dir(self) -> Path:
        """Where the parts keep what can be rebuilt: the status view, too."""
        return self.directory / "state"

    @property
    def page_url(self) -> str:
        """Where the caught mails are."""
        return f"http://{HOST}:{self.ports.page}"


def kafka_environ(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return the environment by which the rung is chosen.

    A Kafka that a settings file names is as good as one that a variable names.
    """
    chosen = {name: value for name, value in environ.items() if name != BOOTSTRAP_SETTING}
    if settings.origins["kafka_bootstrap_servers"] != "default":
        chosen[BOOTSTRAP_SETTING] = settings.kafka_bootstrap_servers
    return chosen


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without any setting of mailcascade."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX)}


def part_environ(plan: StackPlan, settings: Settings, bootstrap: str) -> dict[str, str]:
    """Return the environment of the parts: what they inherit and what the stack decides.

    `settings` has the properties of a Kafka that is not ours; ours needs none.
    """
    foreign = settings.origins["kafka_bootstrap_servers"] != "default"
    variables = _decided(plan, settings, bootstrap) | {
        env_name("kafka_properties"): json.dumps(settings.kafka_properties if foreign else {}),
        # Empty is none: the view is in the state directory, whatever other one is named outside.
        env_name("database_url"): "",
    }
    replaced = {f"{name}_FILE" for name in variables}
    kept = {name: value for name, value in plan.environ.items() if name not in replaced}
    return kept | variables


def projector_environ(
    environ: Mapping[str, str], settings: Settings, workers: int
) -> dict[str, str]:
    """Return the parts' environment for the projector: its metrics come behind the workers'."""
    if not settings.metrics_port:
        return dict(environ)
    return {**environ, env_name("metrics_port"): str(settings.metrics_port + workers)}


def settings_file(plan: StackPlan, settings: Settings, bootstrap: str) -> str:
    """Return the settings with which commands in another shell mean this stack.

    For `MAILCASCADE_CONFIG`. Kafka's properties are left out, for they may hold a password.
    """
    decided = _decided(plan, settings, bootstrap)
    return "".join(f"{name}={value}\n" for name, value in decided.items())


def _decided(plan: StackPlan, settings: Settings, bootstrap: str) -> dict[str, str]:
    """Return the variables that are the stack's to decide and no secrets."""
    decided = {
        "kafka_bootstrap_servers": bootstrap,
        "kafka_group_protocol": settings.kafka_group_protocol,
        "topic_prefix": plan.topology.prefix,
        "partitions": str(plan.topology.partitions),
        "tiers": ",".join(tier.label for tier in plan.topology.tiers),
        "smtp_url": f"smtp://{HOST}:{plan.ports.smtp}",
        "mail_from": MAIL_FROM,
        "http_host": HOST,
        "http_port": str(plan.ports.api),
        "state_dir": str(plan.state_dir.absolute()),
        "drain_seconds": _DRAIN_SECONDS,
    }
    return {env_name(field): value for field, value in decided.items()}


def own_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules, whatever the working directory holds."""
    return [sys.executable, "-P", "-m", module, *arguments]


def check_ports(wanted: Mapping[str, int]) -> None:
    """Make sure that every port is free; `wanted` maps the option that sets it to the port.

    Raises:
        PortTaken: one is not; the message names the port and the option.
    """
    for option, port in wanted.items():
        if not is_free(port):
            raise PortTaken(
                f"port {port} on {HOST} is in use; stop what listens there (`ss -ltnp`), "
                f"or choose another port with {option}"
            )
    for option, port in wanted.items():
        sharing = [other for other in wanted if other != option and wanted[other] == port]
        if sharing:
            raise PortTaken(f"{option} and {sharing[0]} both ask for port {port}")


def topology(prefix: str, tiers: str, partitions: int) -> Topology:
    """Return the topology of a stack; raises ValueError for tiers that cannot be."""
    return Topology(prefix, parse_tiers(tiers), partitions)
