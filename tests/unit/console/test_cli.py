"""The command explains what is wrong, in words and by its exit code, and never by a traceback."""

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

MAIL_ID = "udrujn2kmfatpkne6fkh5ghactsfnq6j"
#: Nobody listens on port 1 of this host.
_NO_KAFKA = {"MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
#: Commands that cannot do anything without it.
_NEED_KAFKA = (
    ("topics", "plan"),
    ("topics", "apply"),
    ("worker",),
    ("cancel", MAIL_ID),
    ("suppress", "ada@example.com"),
    ("suppressions", "relocate"),
    ("pause", "all"),
    ("resume", "all"),
    ("switches",),
    ("held", "release", MAIL_ID),
)


def _run(
    *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "console", *arguments],
        env={"HOME": "/nowhere", "PATH": "/usr/bin:/bin", "COLUMNS": "120"} | dict(environ or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_version_is_the_package_s() -> None:
    """`--version` needs no settings."""
    done = _run("--version")

    assert (done.returncode, done.stdout.strip()) == (0, version("mailcascade"))


def test_help_lists_every_command() -> None:
    """Somebody who knows nothing finds the parts and the exit codes."""
    done = _run("--help")

    assert done.returncode == 0
    words = ("ingest", "worker", "topics", "settings", "up", "demo", "Exit codes")
    words += ("relay", "template", "pause", "resume", "switches")
    for word in (*words, "status", "cancel", "suppress", "unsuppress", "suppressions", "held"):
        assert word in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest",),
        ("worker",),
        ("topics", "plan"),
        ("topics", "apply"),
        ("settings",),
        ("status",),
        ("cancel", MAIL_ID),
        ("held", "list"),
        ("suppressions",),
    ],
)
def test_wrong_settings_are_all_named_and_the_exit_code_is_2(arguments: tuple[str, ...]) -> None:
    """Whichever command meets them, every problem is on stderr."""
    done = _run(*arguments, environ={"MAILCASCADE_PARTITIONS": "many", "MAILCASCADE_TEIRS": "1m"})

    assert done.returncode == 2
    assert "MAILCASCADE_PARTITIONS=many: allowed is a whole number" in done.stderr
    assert "did you mean MAILCASCADE_TIERS?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def without_kafka() -> Mapping[tuple[str, ...], subprocess.CompletedProcess[str]]:
    """How commands end where no Kafka answers, all of them at once: each waits some seconds."""
    environ = _NO_KAFKA | {"MAILCASCADE_STATE_DIR": "/nowhere"}
    with ThreadPoolExecutor(len(_NEED_KAFKA)) as threads:
        ended = threads.map(lambda arguments: _run(*arguments, environ=environ), _NEED_KAFKA)
        return dict(zip(_NEED_KAFKA, ended, strict=True))


@pytest.mark.parametrize("arguments", _NEED_KAFKA, ids=" ".join)
def test_an_unreachable_kafka_is_an_error_with_its_address(
    arguments: tuple[str, ...],
    without_kafka: Mapping[tuple[str, ...], subprocess.CompletedProcess[str]],
) -> None:
    """Exit code 1, the address, a hint, no traceback, and never another Kafka instead."""
    done = without_kafka[arguments]

    assert done.returncode == 1
    assert "no Kafka answers at 127.0.0.1:1: the connection is refused" in done.stderr
    assert "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_refuses_rules_and_relays_that_it_cannot_use(tmp_path: Path) -> None:
    """Before it asks for Kafka: each problem of the file has its place, the URL its setting."""
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "a"\n[[rule]]\nname = "B"\n')
    environ = {"MAILCASCADE_STATE_DIR": str(tmp_path)} | _NO_KAFKA

    wrong_rules = _run("worker", environ=environ | {"MAILCASCADE_RELAY_RULES_FILE": str(rules)})
    wrong_relay = _run(
        "worker", environ=environ | {"MAILCASCADE_SMTP_URL": "smtps://relay.example?profile=pigeon"}
    )

    assert (wrong_rules.returncode, wrong_relay.returncode) == (2, 2)
    assert f"{rules}:1: rule 1 (a): scope: is missing" in wrong_rules.stderr
    assert f"{rules}:3: rule 2: name: must be" in wrong_rules.stderr
    assert "MAILCASCADE_SMTP_URL: there is no profile 'pigeon'; there are" in wrong_relay.stderr
    assert "Traceback" not in wrong_rules.stderr + wrong_relay.stderr


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), ("no certificate\n", "it holds no certificate")]
)
def test_a_worker_refuses_authorities_that_it_cannot_read(
    tmp_path: Path, content: str | None, why: str
) -> None:
    """It could trust no relay by them; the message says which file, why, and what to name."""
    authorities = tmp_path / "ca.pem"
    if content is not None:
        authorities.write_text(content)
    url = f"smtps://relay.example?ca={authorities}"
    environ = {"MAILCASCADE_STATE_DIR": str(tmp_path), "MAILCASCADE_SMTP_URL": url} | _NO_KAFKA

    done = _run("worker", environ=environ)

    assert done.returncode == 2
    assert f"{authorities}, which cannot be used: {why}" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_show_values_and_origins_without_secrets(tmp_path: Path) -> None:
    """What is in force, where from, and no password."""
    config = tmp_path / "config"
    config.write_text("MAILCASCADE_SMTP_URL=smtps://ada:topsecret@relay.example\n")

    done = _run(
        "settings",
        environ={"MAILCASCADE_CONFIG": str(config), "MAILCASCADE_PARTITIONS": "12"},
    )

    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert done.returncode == 0
    assert lines["MAILCASCADE_PARTITIONS"].endswith("12  (environment)")
    assert lines["MAILCASCADE_TIERS"].endswith("1m,10m,1h  (default)")
    assert lines["MAILCASCADE_SMTP_URL"].endswith(f"smtps://ada:***@relay.example  (file {config})")
    assert "topsecret" not in done.stdout


def test_settings_are_also_for_programs() -> None:
    """`--json` has a name, a value and an origin for each setting."""
    rows = json.loads(_run("settings", "--json").stdout)

    assert {"name": "MAILCASCADE_HTTP_PORT", "value": "8080", "origin": "default"} in rows


def test_settings_explain_what_is_allowed() -> None:
    """`--explain` works even where the settings are wrong."""
    done = _run("settings", "--explain", environ={"MAILCASCADE_PARTITIONS": "many"})

    assert done.returncode == 0
    assert "MAILCASCADE_KAFKA_GROUP_PROTOCOL" in done.stdout
    assert "Allowed: consumer (brokers from 4.0) or classic." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("frobnicate",), "frobnicate"),
        (("exporter",), "MAILCASCADE_METRICS_PORT"),
        (("worker", "--processes", "0"), "--processes"),
        (("status", "nonsense"), "nonsense: a mail id has 32 characters"),
        (("status", MAIL_ID, "--state", "dead"), "not both"),
        (("status", "--state", "lost"), "--state must be one or more of queued"),
        (("status", "--since", "yesterday"), "how long ago"),
        (("status", "--recipient", "ada"), "@-sign"),
        (("cancel", "nonsense"), "nonsense"),
        (("suppress",), "--file"),
        (("suppress", "ada@example.com", "--file", "x"), "--file"),
        (("suppress", "--file", "/no/such/file"), "/no/such/file"),
        (("unsuppress", "ada"), "@-sign"),
        (("held", "discard", "nonsense"), "nonsense"),
        (("relay", "classify"), "--phase rcpt"),
        (("relay", "classify", "550 no"), "--phase rcpt"),
        (("relay", "classify", "550 no", "--phase", "later"), "must be one of connect, banner"),
        (("relay", "classify", "550 no", "--phase", "dot", "--jsonl", "-"), "not both"),
        (("relay", "classify", "--jsonl", "/no/such/file"), "/no/such/file"),
        (("template", "preview", "pigeon"), "the templates are"),
        (("template", "preview", "welcome", "--data", "x"), "NAME=VALUE"),
    ],
)
def test_wrong_arguments_have_exit_code_2(arguments: tuple[str, ...], named: str) -> None:
    """As with settings, the message names what was wrong."""
    done = _run(*arguments)

    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("status",), ("status", MAIL_ID, "--json")])
def test_a_status_view_that_is_not_there_is_an_error(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """With the place where it is looked for and the command that makes it."""
    done = _run(*arguments, environ={"MAILCASCADE_STATE_DIR": str(tmp_path)})

    assert done.returncode == 1
    assert "mailcascade projector" in done.stderr
    assert f"it is looked for in {tmp_path}/status.db (MAILCASCADE_DATABASE_URL)" in done.stderr
    assert "Traceback" not in done.stderr
