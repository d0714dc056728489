"""`compose.yaml` fits the code: images, commands, settings, health, scaling, the certificate."""

import re
import shutil
import ssl
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from console.stack.kafka import KAFKA_VERSION
from consumers.delivery.endpoint import RelayEndpoint, Security
from ingest.keys import find_tenant, parse_keys
from runtime.setting_sources import PREFIX
from runtime.setting_types import is_loopback
from runtime.settings import Settings, load_settings
from tests.support.commands import find_command, unknown_options

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
PARTS = ["exporter", "ingest", "projector", "topics", "worker"]
LISTENERS = [
    ("exporter", "metrics_port"),
    ("ingest", "http_port"),
    ("projector", "metrics_port"),
    ("worker", "metrics_port"),
]
DEVELOPMENT_KEY = "mck_development_only"

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl on PATH"
)


def _filled_in(text: str) -> str:
    """What the engine makes of a value where no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def _environment(service: str) -> dict[str, str]:
    return {name: _filled_in(value) for name, value in SERVICES[service]["environment"].items()}


def _settings(service: str) -> Settings:
    """The settings with which a service starts; secrets are where the engine takes them from."""
    environ = _environment(service)
    for name, value in environ.items():
        if value.startswith("/run/secrets/"):
            secret = COMPOSE["secrets"][value.removeprefix("/run/secrets/")]
            environ[name] = str(ROOT / _filled_in(secret["file"]))
    return load_settings({"HOME": "/home/ada", **environ})


def test_the_pipeline_is_complete() -> None:
    """Kafka, a mail server, the topics, the API, the projector and workers; more by profiles."""
    by_profile: dict[str, set[str]] = defaultdict(set)
    for name, service in SERVICES.items():
        for profile in service.get("profiles", ["always"]):
            by_profile[profile].add(name)

    assert by_profile == {
        "always": {"kafka", "certificates", "mailpit", "topics", "ingest", "projector", "worker"},
        "observe": {"exporter", "prometheus", "grafana"},
        "postgres": {"postgres"},
    }


def test_every_image_has_a_version() -> None:
    """What ran yesterday runs today; our own image has the project's version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    images = {name: service["image"] for name, service in SERVICES.items()}

    assert {name: image for name, image in images.items() if not re.search(r":v?\d", image)} == {}
    assert {images[name] for name in OURS} == {f"mailcascade:{project['version']}"}
    assert images["kafka"] == f"apache/kafka:{KAFKA_VERSION}"


@pytest.mark.parametrize("service", PARTS)
def test_every_command_exists(service: str) -> None:
    """The words of a service are a command of `mailcascade`."""
    words = SERVICES[service]["command"]

    assert find_command(words)[1] == []
    assert unknown_options(words) == set()


@pytest.mark.parametrize("service", PARTS)
def test_every_setting_is_accepted(service: str) -> None:
    """Each `MAILCASCADE_` variable exists and its value is allowed."""
    settings = _settings(service)

    assert settings.kafka_bootstrap_servers == "kafka:9092"
    assert all(name.startswith(PREFIX) or name == "SSL_CERT_FILE" for name in _environment(service))


def test_parts_of_one_pipeline_agree() -> None:
    """About the topics, wherever they are named."""
    topics = {(s.topic_prefix, s.partitions, s.tiers) for s in map(_settings, PARTS)}

    assert len(topics) == 1


def test_only_loopback_ports_are_published() -> None:
    """Nobody on the network reaches a development stack with keys that everybody knows."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert ports
    assert [port for port in ports if not is_loopback(port.split(":")[0])] == []


def test_workers_can_be_scaled() -> None:
    """Nothing of a worker is its own in the file, so there can be three of it."""
    worker = SERVICES["worker"]

    assert not {"container_name", "hostname", "ports", "network_mode"} & worker.keys()
    assert f"{PREFIX}INSTANCE_ID" not in worker["environment"]


def test_the_api_reads_the_view_that_the_projector_writes() -> None:
    """The same file in the same volume, whose directory the image gives to its user."""
    directory = "/var/lib/mailcascade/status"
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for service in ("ingest", "projector"):
        assert _settings(service).database_url == f"sqlite:///{directory}/status.db"
        assert f"status:{directory}" in SERVICES[service]["volumes"]

    assert "status" in COMPOSE["volumes"]
    assert f"install --directory --owner mailcascade {directory}" in dockerfile


@pytest.mark.parametrize("service", [service for service, _ in LISTENERS])
def test_a_stop_is_not_a_kill(service: str) -> None:
    """The engine waits longer than the part needs to drain."""
    patience = float(SERVICES[service]["stop_grace_period"].removesuffix("s"))

    assert patience > _settings(service).drain_seconds + 10


def test_a_service_waits_for_what_can_be_waited_for() -> None:
    """For health where there is a health check, for the end of what runs once."""
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[name], name
            else:
                assert wait["condition"] == "service_completed_successfully"
                assert SERVICES[name]["restart"] == "no", name


@pytest.mark.parametrize(("service", "port"), LISTENERS)
def test_health_is_asked_where_the_part_listens(service: str, port: str) -> None:
    """The check is a Python program that asks the port of the settings."""
    kind, python, flag, code = SERVICES[service]["healthcheck"]["test"]
    compile(code, service, "exec")
    (url,) = re.findall(r"'(http://[^']+)'", code)

    assert (kind, python, flag) == ("CMD", "python", "-c")
    assert urlsplit(url).port == getattr(_settings(service), port)


def test_prometheus_asks_every_part_where_it_listens() -> None:
    """By the names of the network; its rules are in the directory that it sees."""
    directory = ROOT / "deploy" / "prometheus"
    assert "./deploy/prometheus:/etc/prometheus:ro" in SERVICES["prometheus"]["volumes"]
    config = yaml.safe_load((directory / "prometheus.yml").read_text(encoding="utf-8"))
    asked = {
        target
        for job in config["scrape_configs"]
        for group in job.get("static_configs", ())
        for target in group["targets"]
    }
    asked |= {
        f"{name}:{names['port']}"
        for job in config["scrape_configs"]
        for names in job.get("dns_sd_configs", ())
        for name in names["names"]
    }

    assert asked == {f"{name}:{getattr(_settings(name), port)}" for name, port in LISTENERS}
    assert all((directory / name).is_file() for name in config["rule_files"])


def test_grafana_has_the_dashboards_and_their_source() -> None:
    """It reads the directory that has them, and asks the Prometheus beside it."""
    directory = ROOT / "deploy" / "grafana"
    volumes = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    sources, providers = (
        yaml.safe_load((directory / "provisioning" / path).read_text(encoding="utf-8"))
        for path in ("datasources/prometheus.yaml", "dashboards/mailcascade.yaml")
    )
    (source,) = sources["datasources"]
    (provider,) = providers["providers"]

    assert volumes["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert volumes["./deploy/grafana"] == provider["options"]["path"]
    assert list(directory.glob("*.json"))
    assert urlsplit(source["url"]).hostname in SERVICES
    assert (
        "127.0.0.1:{0}:{0}".format(urlsplit(source["url"]).port)
        in (SERVICES["prometheus"]["ports"])
    )


def test_the_view_can_be_in_postgresql() -> None:
    """By the URL in the file's head and in the documents."""
    url = "postgresql://mailcascade:development@postgres/mailcascade"
    database = urlsplit(url)
    environment = SERVICES["postgres"]["environment"]
    for path in (ROOT / "compose.yaml", ROOT / "docs" / "operations.md"):
        assert f"DATABASE_URL={url}" in path.read_text(encoding="utf-8")
    for service in ("ingest", "projector"):
        assert SERVICES[service]["environment"]["MAILCASCADE_DATABASE_URL"].startswith(
            "${DATABASE_URL:-"
        )

    assert database.hostname in SERVICES
    assert environment == {
        "POSTGRES_USER": database.username,
        "POSTGRES_PASSWORD": database.password,
        "POSTGRES_DB": database.path.removeprefix("/"),
    }


def test_kafka_misses_a_dead_worker_soon() -> None:
    """The brokers' defaults of 45 s would leave its lanes alone that long."""
    environment: Mapping[str, str] = SERVICES["kafka"]["environment"]

    for name in ("SESSION_TIMEOUT_MS", "MIN_SESSION_TIMEOUT_MS"):
        assert 6_000 <= int(environment[f"KAFKA_GROUP_CONSUMER_{name}"]) <= 10_000
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_api_has_the_key_that_the_documents_show() -> None:
    """It listens on all addresses of its container, so it needs one."""
    path = _settings("ingest").api_keys_file
    assert path is not None

    assert find_tenant(DEVELOPMENT_KEY, parse_keys(path.read_text())) == "development"
    assert DEVELOPMENT_KEY in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_mail_leaves_a_worker_encrypted() -> None:
    """Mailpit is another machine to a worker; it has a certificate that the worker trusts."""
    relay = RelayEndpoint.parse(_settings("worker").smtp_url.get_secret_value())
    mailpit = SERVICES["mailpit"]["environment"]

    assert relay.security is Security.STARTTLS
    assert relay.host in SERVICES
    assert mailpit["MP_SMTP_TLS_CERT"] == SERVICES["worker"]["environment"]["SSL_CERT_FILE"]
    assert mailpit["MP_SMTP_REQUIRE_STARTTLS"] == "true"


@needs_openssl
def test_the_certificate_convinces_a_worker(tmp_path: Path) -> None:
    """The service's own command makes one with which a TLS handshake succeeds; it is kept."""
    for _ in range(2):
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        _make_certificate(tmp_path)
    relay = RelayEndpoint.parse(_settings("worker").smtp_url.get_secret_value())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "mailpit.pem", tmp_path / "mailpit.key")
    client = ssl.create_default_context(cafile=tmp_path / "mailpit.pem")

    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert _handshake(server, client, relay.host)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(server, client, "somebody-else")


def _make_certificate(directory: Path) -> None:
    service = SERVICES["certificates"]
    assert "$" not in "".join(service["command"]), "the engine would fill that in"
    command = [word.replace("/certificates", str(directory)) for word in service["command"]]
    subprocess.run([*service["entrypoint"], *command], check=True, capture_output=True, timeout=60)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> bool:
    """Let both ends talk in memory; True when both are content."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = ends
    for _ in range(10):
        waiting = [end for end in waiting if not _goes_through(end)]
        if not waiting:
            return True
    return False


def _goes_through(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
