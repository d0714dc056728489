"""Settings come from four places, name themselves when they are wrong, and hide their secrets."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.setting_report import describe, explain
from runtime.settings import FIELDS, Settings, SettingsError, env_name, load_settings


def _load(environ: Mapping[str, str]) -> Settings:
    return load_settings(environ, hostname=lambda: "host-7")


def _problems(environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        _load(environ)
    return [str(problem) for problem in caught.value.problems]


def test_without_anything_set_every_setting_has_its_default() -> None:
    """The defaults are the documented ones and say that they are defaults."""
    settings = _load({"HOME": "/home/ada"})

    assert settings.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert settings.tiers == ("1m", "10m", "1h")
    assert settings.partitions == 8
    assert settings.instance_id == "host-7"
    assert settings.state_dir == Path("/home/ada/.local/state/mailcascade")
    assert settings.api_keys_file is None
    assert set(settings.origins.values()) == {"default"}


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/ada"}, "/state/mailcascade"),
        ({"HOME": "/home/ada"}, "/home/ada/.local/state/mailcascade"),
        ({}, "/var/lib/mailcascade"),
        ({"MAILCASCADE_STATE_DIR": "/srv/mail", "HOME": "/home/ada"}, "/srv/mail"),
    ],
)
def test_the_state_directory_follows_the_environment_it_is_given(
    environ: Mapping[str, str], directory: str
) -> None:
    """The setting wins, then XDG, then the home directory, then the system's place."""
    assert _load(environ).state_dir == Path(directory)


def test_the_environment_wins_over_the_configuration_file(tmp_path: Path) -> None:
    """Each value tells where it came from."""
    config = tmp_path / "mailcascade.env"
    config.write_text(
        "# the relay\n\nMAILCASCADE_PARTITIONS = 12\nMAILCASCADE_MAIL_FROM='Ex <no@example.com>'\n"
    )

    settings = _load({"MAILCASCADE_CONFIG": str(config), "MAILCASCADE_PARTITIONS": "16"})

    assert settings.partitions == 16
    assert settings.origins["partitions"] == "environment"
    assert settings.mail_from == "Ex <no@example.com>"
    assert settings.origins["mail_from"] == f"file {config}"


def test_a_secret_is_read_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    """Every setting has a variant that names a file, in the environment and in the file."""
    secret = tmp_path / "url"
    secret.write_text("smtps://ada:s3cret@relay.example\n")
    database = tmp_path / "database"
    database.write_text("postgresql+psycopg://ada:s3cret@db/mail\n")
    config = tmp_path / "config"
    config.write_text(f"MAILCASCADE_DATABASE_URL_FILE={database}\n")

    settings = _load({"MAILCASCADE_SMTP_URL_FILE": str(secret), "MAILCASCADE_CONFIG": str(config)})

    assert settings.smtp_url.get_secret_value() == "smtps://ada:s3cret@relay.example"
    assert settings.origins["smtp_url"] == f"secret file {secret}"
    assert settings.database_url == "postgresql+psycopg://ada:s3cret@db/mail"


def test_a_setting_that_ends_in_file_is_not_taken_for_a_secret(tmp_path: Path) -> None:
    """`MAILCASCADE_API_KEYS_FILE` is a path, not the file variant of another setting."""
    keys = tmp_path / "keys"
    keys.write_text("not read here")

    assert _load({"MAILCASCADE_API_KEYS_FILE": str(keys)}).api_keys_file == keys


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """A person mends everything in one go: wrong values, unknown names, unreadable files."""
    problems = _problems(
        {
            "MAILCASCADE_PARTITIONS": "many",
            "MAILCASCADE_TEIRS": "1m",
            "MAILCASCADE_HTTP_PORT": "70000",
            "MAILCASCADE_MAIL_FROM_FILE": str(tmp_path / "absent"),
            "MAILCASCADE_CONFIG": str(tmp_path / "nowhere"),
        }
    )

    assert len(problems) == 5
    text = "\n".join(problems)
    assert "MAILCASCADE_PARTITIONS=many: allowed is a whole number from 1 to 10000" in text
    assert "MAILCASCADE_TEIRS: there is no such setting (environment)" in text
    assert "did you mean MAILCASCADE_TIERS?" in text
    assert "MAILCASCADE_HTTP_PORT=70000: allowed is a port from 0 to 65535" in text
    assert f"MAILCASCADE_MAIL_FROM_FILE={tmp_path / 'absent'}: the file cannot be read" in text
    assert f"MAILCASCADE_CONFIG={tmp_path / 'nowhere'}: the file cannot be read" in text


def test_a_value_and_its_file_together_are_refused(tmp_path: Path) -> None:
    """Nobody has to guess which of the two counts."""
    path = tmp_path / "from"
    path.write_text("a@example.com")

    problems = _problems(
        {"MAILCASCADE_MAIL_FROM": "b@example.com", "MAILCASCADE_MAIL_FROM_FILE": str(path)}
    )

    assert problems == [
        f"MAILCASCADE_MAIL_FROM_FILE={path}: MAILCASCADE_MAIL_FROM is set as well (environment); "
        "set one of the two"
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("MAILCASCADE_PARTITIONS 12", "line 1 is not NAME=VALUE"),
        (
            "MAILCASCADE_PARTITIONS=1\nMAILCASCADE_PARTITIONS=2",
            "line 2 sets MAILCASCADE_PARTITIONS",
        ),
        ("PATH=/bin", "there is no such setting"),
        ("MAILCASCADE_CONFIG=other", "there is no such setting"),
    ],
)
def test_a_line_of_the_configuration_file_that_says_nothing_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    """The file is ours alone, so what we do not understand in it is a mistake."""
    config = tmp_path / "config"
    config.write_text(text)

    assert reason in "\n".join(_problems({"MAILCASCADE_CONFIG": str(config)}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", ""),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:0"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092,,other:9092"),
        ("KAFKA_GROUP_PROTOCOL", "share"),
        ("TOPIC_PREFIX", "-mails"),
        ("PARTITIONS", "0"),
        ("TIERS", ""),
        ("TIERS", "1m,1m"),
        ("TIERS", "1h,1m"),
        ("TIERS", "1m,soon"),
        ("TIERS", "60s,1m"),
        ("REPLICATION_FACTOR", "0"),
        ("SMTP_URL", "smtp://relay.example:25"),
        ("SMTP_URL", "http://127.0.0.1"),
        ("SMTP_URL", "smtps://"),
        ("SMTP_URL", "smtps://relay.example/path"),
        ("SMTP_URL", "smtps://relay.example:port"),
        ("SMTP_URL", " "),
        ("SMTP_URL", "smtps://relay.example smtp://other.example"),
        ("SMTP_URL", "smtps://relay.example?token=abc"),
        ("SMTP_CONNECTIONS", "0"),
        ("MAIL_FROM", "nobody"),
        ("RETURN_PATH", "Bounces <b@example.com>"),
        ("RETURN_PATH", "bounces"),
        ("DKIM_KEYS", "s1.example.com=/run/key.pem"),
        ("DKIM_KEYS", "s1._domainkey.example.com"),
        ("DKIM_KEYS", "s._domainkey.bücher.example=/k"),
        ("DKIM_KEYS", "s._domainkey.x.example=/a S._domainkey.x.example=/b"),
        ("IDEMPOTENCY_HEADER", "Resend Key"),
        ("IDEMPOTENCY_HEADER", "X-Key: 1\r\nBcc"),
        ("IDEMPOTENCY_HEADER", "subject"),
        ("IDEMPOTENCY_HEADER", "Content-Key"),
        ("MAIL_FROM", "a@example.com, b@example.com"),
        ("MAIL_FROM", "a@example.com\nBcc: b@example.com"),
        ("HTTP_HOST", ""),
        ("HTTP_PORT", "http"),
        ("API_KEYS_FILE", "/no/such/file"),
        ("MAX_IN_FLIGHT", "0"),
        ("DATABASE_URL", "mail.db"),
        ("TEMPLATES_DIR", "/no/such/directory"),
        ("SCHEMA_REGISTRY_URL", "registry:8081"),
        ("INSTANCE_ID", "a host"),
        ("LOG_LEVEL", "loud"),
        ("DRAIN_SECONDS", "-1"),
        ("DRAIN_SECONDS", "nan"),
        ("METRICS_PORT", "99999"),
    ],
)
def test_a_wrong_value_names_itself_and_what_is_allowed(name: str, value: str) -> None:
    """The message starts with the setting and its value and ends with the allowed ones."""
    (problem,) = _problems({f"MAILCASCADE_{name}": value})

    title = Settings.model_fields[name.lower()].title
    assert problem.startswith(f"MAILCASCADE_{name}={value}: ")
    assert problem.endswith(f"allowed is {title}")


@pytest.mark.parametrize(
    "url",
    [
        "smtp://127.0.0.1:25",
        "smtp://localhost",
        "smtp://[::1]:2525",
        "smtp+starttls://relay.example:587",
        "smtps://ada%40example.com:p%2Fw@relay.example",
        "smtps://ada@relay.example?token-file=/run/token&rate=14/s",
        "smtps://ada@relay.example?password-file=/run/password",
        "smtps://one.example?weight=3 smtps://two.example?weight=1",
    ],
)
def test_a_relay_is_reached_in_the_clear_only_on_this_host(url: str) -> None:
    """Plain SMTP to a loopback host, TLS to any."""
    assert _load({"MAILCASCADE_SMTP_URL": url}).smtp_url.get_secret_value() == url


def test_kafka_properties_keep_their_meaning_as_text() -> None:
    """JSON's booleans and numbers become what librdkafka reads."""
    properties = '{"socket.keepalive.enable": true, "linger.ms": 5, "ssl.ca.location": "/ca"}'

    assert _load({"MAILCASCADE_KAFKA_PROPERTIES": properties}).kafka_properties == {
        "socket.keepalive.enable": "true",
        "linger.ms": "5",
        "ssl.ca.location": "/ca",
    }


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('{"acks": 1}', "acks cannot be set"),
        ('{"enable.auto.commit": true}', "enable.auto.commit cannot be set"),
        ('{"bootstrap.servers": "x"}', "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS"),
        ('{"a": [1]}', "a must be a string, a number, true or false"),
        ("[1]", "not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_kafka_properties_that_break_a_promise_are_refused(value: str, reason: str) -> None:
    """What correctness depends on is not for the operator to set; the value stays hidden."""
    (problem,) = _problems({"MAILCASCADE_KAFKA_PROPERTIES": value})

    assert problem.startswith("MAILCASCADE_KAFKA_PROPERTIES=***: ")
    assert reason in problem


def test_an_empty_optional_setting_is_none() -> None:
    """A compose file may pass a variable on that is not set."""
    assert _load({"MAILCASCADE_DATABASE_URL": ""}).database_url is None


@pytest.mark.parametrize(("text", "factor"), [("auto", None), ("AUTO", None), ("2", 2)])
def test_the_replication_factor_is_a_number_or_auto(text: str, factor: int | None) -> None:
    """`auto` leaves it to the size of the cluster."""
    assert _load({"MAILCASCADE_REPLICATION_FACTOR": text}).replication_factor == factor


def test_no_secret_is_shown_anywhere() -> None:
    """Neither the description nor the object's own text shows a password."""
    settings = _load(
        {
            "MAILCASCADE_SMTP_URL": "smtps://ada:topsecret@relay.example:465",
            "MAILCASCADE_DATABASE_URL": "postgresql://ada:topsecret@db/mail",
            "MAILCASCADE_SCHEMA_REGISTRY_URL": "https://ada:topsecret@registry",
            "MAILCASCADE_KAFKA_PROPERTIES": '{"sasl.password": "topsecret", "sasl.username": "a"}',
            "MAILCASCADE_STATUS_KEY": "topsecret",
        }
    )

    rows = {row.name: row.value for row in describe(settings)}

    assert rows["MAILCASCADE_SMTP_URL"] == "smtps://ada:***@relay.example:465"
    assert rows["MAILCASCADE_DATABASE_URL"] == "postgresql+psycopg://ada:***@db/mail"
    assert rows["MAILCASCADE_SCHEMA_REGISTRY_URL"] == "https://ada:***@registry"
    assert rows["MAILCASCADE_STATUS_KEY"] == "***"
    assert rows["MAILCASCADE_KAFKA_PROPERTIES"] == "sasl.password=***, sasl.username=a"
    assert "topsecret" not in repr(settings) + str(rows)


@given(rest=st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_a_wrong_url_never_shows_its_password(rest: str) -> None:
    """However badly a URL is written, the message does not repeat what may be a secret."""
    (problem,) = _problems({"MAILCASCADE_SMTP_URL": f"smtpz://ada:topsecret{rest}@relay.example"})

    assert problem.startswith("MAILCASCADE_SMTP_URL=***: ")
    assert "topsecret" not in problem


def test_a_relay_s_user_needs_a_password() -> None:
    """Half of the credentials is a mistake, not an anonymous log-in."""
    (problem,) = _problems({"MAILCASCADE_SMTP_URL": "smtps://ada@relay.example"})

    assert "a user needs a password" in problem


def test_no_relay_s_password_is_shown() -> None:
    """Of several relays, each has its own to hide."""
    urls = "smtps://ada:topsecret@one.example smtps://bob:topsecret@two.example?weight=0"
    rows = {row.name: row.value for row in describe(_load({"MAILCASCADE_SMTP_URL": urls}))}

    shown = "smtps://ada:***@one.example smtps://bob:***@two.example?weight=0"
    assert rows["MAILCASCADE_SMTP_URL"] == shown


def test_settings_cannot_be_changed() -> None:
    """What was loaded stays in force."""
    with pytest.raises(ValueError, match="frozen"):
        _load({}).partitions = 9  # type: ignore[misc]  # that it is refused is the claim


def test_every_setting_is_described_and_explained() -> None:
    """`mailcascade settings` has a line for each, with purpose and allowed values."""
    assert [row.name for row in describe(_load({}))] == [env_name(name) for name in FIELDS]
    assert all("Allowed: None" not in text and "\n  None" not in text for text in explain())
