"""`deploy/kubernetes` fits Kubernetes and the code: schemas, settings, ports, disks, networks."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import pytest
import yaml

from consumers.delivery.endpoint import parse_relays
from ingest.keys import find_tenant, parse_keys
from retry_topics.topology import topology_of
from runtime.settings import Settings, load_settings
from tests.support.commands import find_command, unknown_options
from tests.support.kustomize import NotUnderstood, Object, build, pod_of

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCUMENT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
OVERLAYS = {name: build(KUBERNETES / name) for name in ("development", "production")}
PRODUCTION = OVERLAYS["production"]
#: The oldest that has what the manifests use, and the newest whose schemas there are.
VERSIONS = ("1.32", "1.37")
PARTS = ("api", "exporter", "projector", "topics", "worker")
SECRETS_ROOT = "/run/secrets/"
PORTS = {
    "api": "http_port",
    "exporter": "metrics_port",
    "projector": "metrics_port",
    "worker": "metrics_port",
}
KEDA_FIELDS = {
    "ScaledObject": {
        "advanced",
        "cooldownPeriod",
        "fallback",
        "idleReplicaCount",
        "initialCooldownPeriod",
        "maxReplicaCount",
        "minReplicaCount",
        "pollingInterval",
        "scaleTargetRef",
        "triggers",
    },
    "TriggerAuthentication": {"secretTargetRef", "env", "podIdentity"},
}
#: What an operator puts into the secrets that docs/deployment.md names.
SECRETS = {
    "mailcascade-keys": {
        "api-keys": f"acme:{'0' * 64}\n",
        "operator-keys": f"ada:{'1' * 64}\n",
    },
    "mailcascade-database": {
        "url": "postgresql://mailcascade:secret@db.example.com:5432/mailcascade\n",
        "status-key": "a long random text\n",
    },
    "mailcascade-kafka": {
        "properties": json.dumps(
            {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "mailcascade",
                "sasl.password": "secret",
                "ssl.ca.location": "/run/secrets/kafka/ca.crt",
            }
        ),
        "ca.crt": "",
    },
    "mailcascade-relay": {"password": "secret\n"},
}

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
every_part = pytest.mark.parametrize("part", PARTS)
every_server = pytest.mark.parametrize("part", PORTS)


class Part(NamedTuple):
    """One of our containers and the pod around it."""

    item: Object
    pod: Object
    container: Object


def _part(overlay: str, name: str) -> Part:
    for item in OVERLAYS[overlay]:
        for container in (pod_of(item) or {"spec": {"containers": ()}})["spec"]["containers"]:
            if container["name"] == name:
                pod = pod_of(item)
                assert pod is not None
                return Part(item, pod, container)
    raise AssertionError(f"{overlay} has no container {name}")


def _of_kind(kind: str, overlay: str = "production") -> list[Object]:
    return [item for item in OVERLAYS[overlay] if item["kind"] == kind]


def _named(kind: str, name: str, overlay: str = "production") -> Object:
    (found,) = [item for item in _of_kind(kind, overlay) if item["metadata"]["name"] == name]
    return found


def _volumes(part: Part) -> dict[str, Object]:
    claims = part.item["spec"].get("volumeClaimTemplates", ())
    named = {claim["metadata"]["name"]: {"claim": claim} for claim in claims}
    return named | {volume["name"]: volume for volume in part.pod["spec"]["volumes"]}


def _environ(overlay: str, part: Part) -> dict[str, str]:
    """What the container's environment is in the cluster."""
    environ: dict[str, str] = {"HOME": "/var/lib/mailcascade"}
    for source in part.container["envFrom"]:
        environ |= _named("ConfigMap", source["configMapRef"]["name"], overlay)["data"]
    for variable in part.container.get("env", ()):
        if "value" in variable:
            environ[variable["name"]] = variable["value"]
        else:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            environ[variable["name"]] = f"{part.item['metadata']['name']}-0"
    return environ


def _mounted(part: Part, overlay: str) -> dict[str, Mapping[str, str]]:
    """What each secret's directory holds; one that is optional and not made is empty."""
    made = {item["metadata"]["name"]: item["stringData"] for item in _of_kind("Secret", overlay)}
    volumes = _volumes(part)
    return {
        mount["mountPath"]: made.get(name, {} if overlay == "development" else SECRETS[name])
        for mount in part.container["volumeMounts"]
        if (name := volumes[mount["name"]].get("secret", {}).get("secretName"))
    }


def _settings(overlay: str, name: str, directory: Path) -> Settings:
    """The settings with which a part starts, its secrets in a directory of the test's."""
    part = _part(overlay, name)
    for path, files in _mounted(part, overlay).items():
        place = directory / path.removeprefix(SECRETS_ROOT)
        place.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (place / file).write_text(text, encoding="utf-8")
    environ = _environ(overlay, part)
    return load_settings(
        {name: value.replace(SECRETS_ROOT, f"{directory}/") for name, value in environ.items()},
        hostname=lambda: "a-pod",
    )


@every_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_what_kubernetes_takes(overlay: str, version: str) -> None:
    """By its published schemas, with no field that they do not know."""
    objects = [item for item in OVERLAYS[overlay] if not item["apiVersion"].startswith("keda.sh")]

    assert objects
    for item in objects:
        kubernetes_validate.validate(item, version, strict=True)


@every_overlay
@every_part
def test_every_setting_is_accepted(overlay: str, part: str, tmp_path: Path) -> None:
    """Each `MAILCASCADE_` variable exists, and its value is allowed."""
    settings = _settings(overlay, part, tmp_path)

    assert settings.http_host == "0.0.0.0"  # noqa: S104 - a pod is reached by its own address


@every_part
def test_every_command_exists(part: str) -> None:
    """What a container is told is a command of `mailcascade`."""
    words = _part("production", part).container["args"]

    assert find_command(words)[1] == []
    assert unknown_options(words) == set()


@every_overlay
def test_parts_of_one_pipeline_agree(overlay: str, tmp_path: Path) -> None:
    """About the topics and the view, wherever they are named."""
    settings = {part: _settings(overlay, part, tmp_path / part) for part in PARTS}

    assert len({topology_of(of_part) for of_part in settings.values()}) == 1
    assert settings["api"].database_url == settings["projector"].database_url
    assert settings["api"].status_key == settings["projector"].status_key


def test_secrets_reach_those_who_need_them(tmp_path: Path) -> None:
    """Through files, and nobody else: the relay's password the workers, the database the view."""
    settings = {part: _settings("production", part, tmp_path / part) for part in PARTS}
    held = {
        part: set(_mounted(_part("production", part), "production")) - {"/run/secrets/kafka"}
        for part in PARTS
    }

    assert held == {
        "api": {"/run/secrets/keys", "/run/secrets/database"},
        "exporter": set(),
        "projector": {"/run/secrets/database"},
        "topics": set(),
        "worker": {"/run/secrets/relay"},
    }
    assert all(s.kafka_properties["sasl.password"] == "secret" for s in settings.values())
    (relay,) = parse_relays(settings["worker"].smtp_url.get_secret_value())
    assert relay.credentials is not None
    assert relay.credentials.password_file == tmp_path / "worker" / "relay" / "password"
    assert relay.credentials.password_file.is_file()
    assert settings["api"].status_key is not None


def test_production_has_no_secret_in_it() -> None:
    """They are made beside it, and the document says how each is called and what is in it."""
    used = {
        volume["secret"]["secretName"]
        for part in PARTS
        for volume in _volumes(_part("production", part)).values()
        if "secret" in volume
    }
    (trigger,) = _of_kind("TriggerAuthentication")
    references = trigger["spec"]["secretTargetRef"]

    assert _of_kind("Secret") == []
    assert used == set(SECRETS)
    for name in {*used, *(reference["name"] for reference in references)}:
        assert f"create secret generic {name}" in DOCUMENT
    for key in {key for keys in SECRETS.values() for key in keys}:
        assert re.search(rf"--from-(file|literal)={re.escape(key)}=", DOCUMENT), key
    assert {reference["key"] for reference in references} == set(
        re.findall(r"--from-\w+=([\w.]+)=", DOCUMENT.partition("generic mailcascade-keda")[2])
    )


@every_server
def test_probes_ask_where_the_part_listens(part: str, tmp_path: Path) -> None:
    """One named port, for each probe, for the service and for Prometheus."""
    found = _part("production", part)
    (port,) = found.container["ports"]
    probes = {
        name: found.container[f"{name}Probe"]["httpGet"]
        for name in ("liveness", "readiness", "startup")
    }

    assert port["containerPort"] == getattr(_settings("production", part, tmp_path), PORTS[part])
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "liveness": "/livez",
        "readiness": "/readyz",
        "startup": "/livez",
    }
    annotations = found.pod["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])


@every_overlay
@every_server
def test_a_stop_is_not_a_kill(overlay: str, part: str, tmp_path: Path) -> None:
    """Kubernetes waits for the pause before the stop, the drain, and twenty seconds more."""
    found = _part(overlay, part)
    pause = found.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    drain = _settings(overlay, part, tmp_path).drain_seconds

    assert found.pod["spec"]["terminationGracePeriodSeconds"] >= (
        pause.get("seconds", 0) + drain + 20
    )


@every_part
def test_a_part_may_do_nothing_special(part: str) -> None:
    """It is the image's user, without privileges, a token or a file system to write to."""
    found = _part("production", part)
    spec, context = found.pod["spec"], found.container["securityContext"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (user,) = re.findall(r"useradd .*--uid (\d+)", dockerfile)

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == int(user)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert set(found.container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in found.container["resources"]["limits"]


@every_part
def test_what_a_part_writes_is_on_a_volume(part: str, tmp_path: Path) -> None:
    """A worker's state outlives its pod; nobody writes anywhere else but into /tmp."""
    found = _part("production", part)
    mounts = {mount["mountPath"]: mount for mount in found.container["volumeMounts"]}
    writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    volumes = _volumes(found)
    state = str(_settings("production", part, tmp_path).state_dir)

    assert writable == ({"/tmp", state} if part == "worker" else {"/tmp"})  # noqa: S108 - a pod's own
    assert {mount["name"] for mount in mounts.values()} == set(volumes)
    if part == "worker":
        assert "claim" in volumes[mounts[state]["name"]]
        assert f"MAILCASCADE_STATE_DIR={state}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    # A file that is mounted by a subPath never changes.
    assert [mount for mount in mounts.values() if "subPath" in mount] == []


def test_a_worker_keeps_its_name_and_its_disk() -> None:
    """Its identity is its pod's name, and its claim stays when there are fewer workers."""
    worker = _part("production", "worker")

    assert worker.item["kind"] == "StatefulSet"
    assert _environ("production", worker)["MAILCASCADE_INSTANCE_ID"] == "mailcascade-worker-0"
    assert set(worker.item["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    service = _named("Service", worker.item["spec"]["serviceName"])
    assert service["spec"]["clusterIP"] == "None"


def test_there_is_one_projector() -> None:
    """The old one ends before the new one starts."""
    spec = _part("production", "projector").item["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@every_overlay
def test_selectors_find_their_pods(overlay: str) -> None:
    """Of sets, services, disruption budgets and network policies; each finds one at least."""
    pods = [pod["metadata"]["labels"] for item in OVERLAYS[overlay] if (pod := pod_of(item))]
    for item in OVERLAYS[overlay]:
        for labels, expressions in _selectors(item):
            found = [pod for pod in pods if labels.items() <= pod.items()]
            for expression in expressions:
                assert expression["operator"] == "In"
                found = [p for p in found if p.get(expression["key"]) in expression["values"]]
            assert found, (item["kind"], item["metadata"]["name"])


def _selectors(item: Object) -> Iterator[tuple[dict[str, str], list[Any]]]:
    spec = item.get("spec", {})
    if item["kind"] == "Service":
        yield spec["selector"], []
    for field in ("selector", "podSelector"):
        if item["kind"] != "Service" and field in spec:
            yield spec[field].get("matchLabels", {}), spec[field].get("matchExpressions", [])


def test_evictions_leave_enough() -> None:
    """Of what there is more than one; what there is one of would hold up its node for ever."""
    budgets = {item["metadata"]["name"]: item["spec"] for item in _of_kind("PodDisruptionBudget")}

    assert set(budgets) == {"mailcascade-api", "mailcascade-worker"}
    for spec in budgets.values():
        assert spec["maxUnavailable"] == 1
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("overlay", ["production"])
@every_part
def test_a_part_reaches_what_it_needs(overlay: str, part: str, tmp_path: Path) -> None:
    """By the ports of its settings, and DNS; no policy opens anything else."""
    settings = _settings(overlay, part, tmp_path)
    brokers = settings.kafka_bootstrap_servers.split(",")
    needed = {("TCP", 53), ("UDP", 53)}
    needed |= {("TCP", int(broker.rpartition(":")[2])) for broker in brokers}
    if part == "worker":
        relays = parse_relays(settings.smtp_url.get_secret_value())
        needed |= {("TCP", relay.port) for relay in relays}
    if part in ("api", "projector"):
        (port,) = re.findall(r"@[\w.]+:(\d+)/", settings.database_url or "")
        needed.add(("TCP", int(port)))

    assert settings.schema_registry_url is None
    assert _allowed(_part(overlay, part), "Egress") == needed


def test_who_may_come_in() -> None:
    """Clients to the API; Prometheus, from its namespace only, to the metrics."""
    ports = {part: _allowed(_part("production", part), "Ingress") for part in PARTS}
    scraping = _named("NetworkPolicy", "mailcascade-from-prometheus")["spec"]["ingress"]

    assert ports == {
        "api": {("TCP", "http"), ("TCP", "metrics")},
        "exporter": {("TCP", "metrics")},
        "projector": {("TCP", "metrics")},
        "topics": {("TCP", "metrics")},
        "worker": {("TCP", "metrics")},
    }
    assert [rule["from"] for rule in scraping] == [
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    ]
    shut = _named("NetworkPolicy", "mailcascade-nothing-else")["spec"]
    assert shut["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & shut.keys()


def _allowed(part: Part, direction: str) -> set[tuple[str, int | str]]:
    labels = part.pod["metadata"]["labels"]
    policies = [
        item["spec"]
        for item in _of_kind("NetworkPolicy")
        if direction in item["spec"]["policyTypes"]
        for wanted, expressions in _selectors(item)
        if wanted.items() <= labels.items()
        and all(labels[e["key"]] in e["values"] for e in expressions)
    ]
    assert policies, "pods without a policy may do everything"
    return {
        (port["protocol"], port["port"])
        for spec in policies
        for rule in spec.get(direction.lower(), ())
        for port in rule["ports"]
    }


def test_workers_are_scaled_up_to_the_lanes(tmp_path: Path) -> None:
    """By the lag on the main topic; a worker beyond the partitions would have nothing to do."""
    settings = _settings("production", "worker", tmp_path)
    worker = _part("production", "worker").item
    scaled = _named("ScaledObject", "mailcascade-worker")["spec"]
    (trigger,) = scaled["triggers"]
    metadata = trigger["metadata"]
    topology = topology_of(settings)

    assert scaled["scaleTargetRef"] == {
        "apiVersion": worker["apiVersion"],
        "kind": worker["kind"],
        "name": worker["metadata"]["name"],
    }
    assert "replicas" not in worker["spec"], "each apply would undo what was scaled"
    assert 2 <= scaled["minReplicaCount"] < scaled["maxReplicaCount"] == topology.partitions
    assert trigger["type"] == "kafka"
    assert (metadata["topic"], metadata["consumerGroup"]) == (topology.main, topology.group)
    assert metadata["bootstrapServersFromEnv"] in _environ(
        "production", _part("production", "worker")
    )
    assert {type(value) for value in metadata.values()} == {str}
    assert f"`lagThreshold` of {int(metadata['lagThreshold']):,}" in DOCUMENT
    _named("TriggerAuthentication", trigger["authenticationRef"]["name"])


def test_the_scaler_s_fields_are_its_own() -> None:
    """Those of KEDA's reference; it publishes no schema that a test could bring along."""
    ours = [item for item in PRODUCTION if item["apiVersion"] == "keda.sh/v1alpha1"]

    assert {item["kind"] for item in ours} == set(KEDA_FIELDS)
    for item in ours:
        assert item["spec"].keys() <= KEDA_FIELDS[item["kind"]]


def test_every_image_has_a_version() -> None:
    """Our own has the project's, the broker is the one that compose.yaml runs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    images = {
        container["name"]: container["image"]
        for overlay in ("production", "development")
        for item in OVERLAYS[overlay]
        for container in (pod_of(item) or {"spec": {"containers": ()}})["spec"]["containers"]
    }

    assert {images[part] for part in PARTS} == {f"mailcascade:{project['version']}"}
    assert images["kafka"] == compose["kafka"]["image"]
    assert images["mailpit"] == compose["mailpit"]["image"]
    assert all(re.search(r":v?\d", image) for image in images.values())


def test_the_development_key_is_the_one_in_the_documents() -> None:
    """Everybody knows it, as they do the one of compose.yaml."""
    data = _named("Secret", "mailcascade-keys", "development")["stringData"]
    compose = (ROOT / "deploy" / "api-keys.dev").read_text(encoding="utf-8")

    assert parse_keys(data["api-keys"]) == parse_keys(compose)
    for key, file in (
        ("mck_development_only", "api-keys"),
        ("mck_development_operator", "operator-keys"),
    ):
        assert find_tenant(key, parse_keys(data[file])) == "development"
        assert key in DOCUMENT


def test_what_is_not_understood_is_not_passed_over(tmp_path: Path) -> None:
    """The reader of these tests refuses what it does not do, and patches that change nothing."""
    kustomization = tmp_path / "kustomization.yaml"
    for text in (
        "namePrefix: a-",
        "configMapGenerator: [{name: a, files: [b]}]",
        "configMapGenerator: [{name: a, behavior: merge, literals: [b=c]}]",
    ):
        kustomization.write_text(text)
        with pytest.raises(NotUnderstood):
            build(tmp_path)
