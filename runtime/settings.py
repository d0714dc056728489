"""Every setting there is: its name, type, default, and what to say when its value is wrong.

A setting comes from the environment (`MAILCASCADE_` + its name), from a file named by the same
variable with `_FILE`, from the file that `MAILCASCADE_CONFIG` names, or has its default; the first
of these wins.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    DirectoryPath,
    Field,
    FilePath,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from runtime import setting_types as types
from runtime.setting_sources import PREFIX, Collected, SettingProblem, collect

MASK: Final = "***"
#: Settings whose value may hold a secret: never shown as it is.
SECRET_FIELDS: Final = frozenset(
    {
        "smtp_url",
        "kafka_properties",
        "database_url",
        "schema_registry_url",
        "status_key",
        "otlp_endpoint",
    }
)
#: Kinds of problems whose message says more than the allowed values do.
_OWN_WORDS: Final = frozenset({"value_error", "path_not_file", "path_not_directory"})

Port = Annotated[int, Field(ge=0, le=65535)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Settings(BaseSettings):
    """What is in force. Made by `load_settings`; `origins` tells where each value came from.

    A field's `description` says what it is for, its `title` which values are allowed.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=False)

    kafka_bootstrap_servers: Annotated[Word, AfterValidator(types.bootstrap_servers)] = Field(
        "127.0.0.1:9092", title="host:port[,host:port...]", description="The brokers to ask first."
    )
    kafka_properties: Annotated[dict[str, str], BeforeValidator(types.kafka_properties)] = Field(
        {},
        title='a JSON object of librdkafka properties such as {"security.protocol": "SASL_SSL"}',
        description="TLS, SASL and tuning of the Kafka client.",
        repr=False,
    )
    kafka_group_protocol: Annotated[
        Literal["consumer", "classic"], BeforeValidator(types.lowered)
    ] = Field(
        "consumer",
        title="consumer (brokers from 4.0) or classic",
        description="How workers share the lanes.",
    )
    topic_prefix: Annotated[
        Word, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,180}$")
    ] = Field(
        "signup-events",
        title="up to 181 letters, digits, dots, dashes and underscores",
        description="The main topic; the other topics' names start with it.",
    )
    partitions: int = Field(
        8,
        ge=1,
        le=10_000,
        title="a whole number from 1 to 10000",
        description="Partitions of every topic, which is the number of lanes.",
    )
    tiers: Annotated[
        tuple[str, ...], BeforeValidator(types.durations), Field(min_length=1, max_length=16)
    ] = Field(
        ("1m", "10m", "1h"),
        title="1 to 16 ascending durations such as 1m,10m,1h (units ms, s, m, h, d)",
        description="The delays of the retry topics.",
    )
    replication_factor: Annotated[int | None, BeforeValidator(types.replication)] = Field(
        None,
        ge=1,
        le=15,
        title="auto (3, or as many as there are brokers) or a whole number from 1 to 15",
        description="Copies of every topic that `topics apply` creates.",
    )
    smtp_url: Annotated[
        SecretStr, AfterValidator(lambda url: SecretStr(types.smtp_urls(url.get_secret_value())))
    ] = Field(
        SecretStr("smtp://127.0.0.1:2525"),
        title="smtp://HOST:PORT to a loopback host, smtp+starttls://[USER:PASSWORD@]HOST[:PORT] "
        "or smtps://[USER:PASSWORD@]HOST[:PORT], percent-encoded; then ?ca=FILE&helo=NAME"
        "&password-file=FILE&token-file=FILE&token-command=COMMAND&profile=PROVIDER&weight=N"
        "&rate=N/s&connect-timeout=10s&reply-timeout=60s&end-timeout=10m; several separated by "
        "blanks",
        description="The relay that takes the mail, or several that share it by weight.",
    )
    smtp_connections: int = Field(
        8,
        ge=1,
        le=256,
        title="a whole number from 1 to 256",
        description="Connections to each relay that a worker process keeps open at most.",
    )
    relay_rules_file: FilePath | None = Field(
        None,
        title="the path of a file",
        description="Rules about what relays' replies mean, asked before those that come with "
        "mailcascade.",
    )
    template_pause_percent: int = Field(
        20,
        ge=0,
        le=100,
        title="a percentage from 0 to 100; 0 pauses no template",
        description="A template pauses once relays have refused the content of more than this "
        "share of its last 100 mails.",
    )
    template_pause_mails: int = Field(
        20,
        ge=1,
        le=100,
        title="a whole number from 1 to 100",
        description="How many mails of a template there must have been for that.",
    )
    mail_from: Annotated[Word, AfterValidator(types.mailbox)] = Field(
        "no-reply@localhost",
        title="one mailbox such as no-reply@example.com or Example <no-reply@example.com>",
        description="The sender of every mail.",
    )
    return_path: Annotated[Word, AfterValidator(types.return_path)] | None = Field(
        None,
        title="an address such as bounces@example.com or bounces+{id}@example.com",
        description="Where relays send bounces (the envelope's sender), with {id} for each mail's "
        "public id; the address of MAILCASCADE_MAIL_FROM by default.",
    )
    idempotency_header: Annotated[Word, AfterValidator(types.header_name)] | None = Field(
        None,
        title="a header's name such as Resend-Idempotency-Key or X-EE-Idempotency-Key",
        description="Header by which the provider knows a mail that is handed over twice; none by "
        "default.",
    )
    unsubscribe_url: Word | None = Field(
        None,
        title="an https URL such as https://example.com/unsubscribe/{id}, with {id}, {template} or "
        "variables of the template",
        description="Where recipients of mails of the category subscription unsubscribe, for "
        "templates that do not say it themselves.",
    )
    dkim_keys: Annotated[tuple[str, ...], BeforeValidator(types.dkim_keys)] = Field(
        (),
        title="SELECTOR._domainkey.DOMAIN=FILE with a private key in PEM, RSA or Ed25519; several "
        "separated by blanks",
        description="The keys that sign every mail by DKIM, each by the name of its DNS record; "
        "none by default.",
    )
    http_host: Word = Field(
        "127.0.0.1",
        title="a host name or address; one that is not loopback needs MAILCASCADE_API_KEYS_FILE",
        description="Where the API listens.",
    )
    http_port: Port = Field(
        8080, title="a port from 0 to 65535; 0 takes a free one", description="The API's port."
    )
    api_keys_file: FilePath | None = Field(
        None, title="the path of a file", description="The hashed keys that clients of the API use."
    )
    operator_keys_file: FilePath | None = Field(
        None,
        title="the path of a file",
        description="The hashed keys of operators, who deal with dead-lettered mails over HTTP; "
        "without it nobody does.",
    )
    max_in_flight: int = Field(
        256,
        ge=1,
        le=10_000,
        title="a whole number from 1 to 10000",
        description="Mails that a worker process has in hand at once.",
    )
    state_dir: Path = Field(
        title="the path of a directory",
        description="Where a worker keeps what it can rebuild: journal and checkpoints.",
    )
    journal: bool = Field(
        True,
        title="true or false",
        description="Whether a worker writes each acceptance down at once, in "
        "MAILCASCADE_STATE_DIR, so that a crash before the commit sends nothing twice.",
    )
    database_url: Annotated[str, AfterValidator(types.database_url)] | None = Field(
        None,
        title="a URL: sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME",
        description="The database of the status view; status.db in MAILCASCADE_STATE_DIR by "
        "default.",
        repr=False,
    )
    status_key: SecretStr | None = Field(
        None,
        title="a secret text",
        description="Key of the hashes by which the status view finds recipients; by default one "
        "that is made with the view and kept in its database.",
    )
    templates_dir: DirectoryPath | None = Field(
        None,
        title="the path of a directory",
        description="Mail templates to use instead of the ones that come with mailcascade.",
    )
    schema_registry_url: Annotated[str, AfterValidator(types.registry_url)] | None = Field(
        None,
        title="an http or https URL",
        description="A schema registry; with one, events are written in Confluent's framing.",
        repr=False,
    )
    instance_id: Annotated[Word, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")] = Field(
        title="up to 128 letters, digits, dots, dashes and underscores",
        description="This host's name in Kafka and in logs; the host name by default.",
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(types.lowered)
    ] = Field(
        "info", title="debug, info, warning or error", description="The least level that is logged."
    )
    drain_seconds: float = Field(
        25.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        title="seconds from 0 to 3600, less than the supervisor waits before it kills",
        description="How long a stopping process may take to finish what it has in hand.",
    )
    metrics_port: Port | None = Field(
        None,
        title="a port from 0 to 65535; 0 takes a free one",
        description="Where a worker, projector or exporter shows its metrics, on "
        "MAILCASCADE_HTTP_HOST; each further worker process of a host takes the next port. None by "
        "default.",
    )
    exporter_seconds: float = Field(
        15.0,
        ge=1,
        le=300,
        allow_inf_nan=False,
        title="seconds from 1 to 300",
        description="How often the exporter looks at Kafka.",
    )
    otlp_endpoint: Annotated[str, AfterValidator(types.collector_url)] | None = Field(
        None,
        title="an http or https URL such as http://127.0.0.1:4318",
        description="The collector that traces are sent to, by OTLP over HTTP; none are made by "
        "default. Needs the extra `otel`; what else there is to set are OpenTelemetry's own "
        "OTEL_* variables.",
    )
    origins: Mapping[str, str] = Field({}, repr=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take nothing from the process: the environment is a parameter of `load_settings`."""
        return (init_settings,)


#: The settings' attribute names, in the order of the documentation.
FIELDS: Final = tuple(name for name in Settings.model_fields if name != "origins")


class SettingsError(Exception):
    """Settings that cannot be used; `problems` has every one of them."""

    def __init__(self, problems: Sequence[SettingProblem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def load_settings(
    environ: Mapping[str, str], hostname: Callable[[], str] = socket.gethostname
) -> Settings:
    """Read every setting from `environ` and the files it names.

    Raises:
        SettingsError: with all problems at once.
    """
    collected = collect(environ, {env_name(name) for name in FIELDS})
    raw: dict[str, object] = {"state_dir": _state_dir(environ), "instance_id": hostname()}
    origins = {name: "default" for name in FIELDS}
    for name in FIELDS:
        written = collected.settings.get(env_name(name))
        if written is not None:
            optional = not Settings.model_fields[name].is_required() and written.value == ""
            raw[name] = None if optional and _none_is_default(name) else written.value
            origins[name] = written.origin
    try:
        settings = Settings.model_validate(raw | {"origins": origins})
    except ValidationError as error:
        problems = [_problem(details, collected) for details in error.errors()]
        raise SettingsError([*collected.problems, *problems]) from None
    if collected.problems:
        raise SettingsError(collected.problems)
    return settings


def env_name(field: str) -> str:
    """Return the variable that sets a field."""
    return PREFIX + field.upper()


def _none_is_default(name: str) -> bool:
    return Settings.model_fields[name].default is None and name != "replication_factor"


def _state_dir(environ: Mapping[str, str]) -> Path:
    """Follow the XDG rules; a service without a home directory keeps its state in /var/lib."""
    if state := environ.get("XDG_STATE_HOME"):
        return Path(state, "mailcascade")
    if home := environ.get("HOME"):
        return Path(home, ".local", "state", "mailcascade")
    return Path("/var/lib/mailcascade")


def _problem(details: ErrorDetails, collected: Collected) -> SettingProblem:
    field = str(details["loc"][0])
    written = collected.settings.get(env_name(field))
    value = None if written is None else written.value
    if (
        field in SECRET_FIELDS
        and value is not None
        and (field == "kafka_properties" or "@" in value)
    ):
        value = MASK
    allowed = f"allowed is {Settings.model_fields[field].title}"
    if details["type"] in _OWN_WORDS:
        allowed = f"{details['msg'].removeprefix('Value error, ')}; {allowed}"
    return SettingProblem(env_name(field), value, allowed)
