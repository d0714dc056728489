"""What is in force and where it came from, for a person to read."""

from typing import NamedTuple

from pydantic import SecretStr

from runtime.kafka.properties import is_secret
from runtime.setting_types import masked_url
from runtime.settings import FIELDS, MASK, SECRET_FIELDS, Settings, env_name


class SettingRow(NamedTuple):
    """One line of `mailcascade settings`; `value` has no secret in it."""

    name: str
    value: str
    origin: str


def describe(settings: Settings) -> list[SettingRow]:
    """Return what is in force and where it came from, secrets masked."""
    return [
        SettingRow(env_name(name), _shown(name, settings), settings.origins.get(name, "default"))
        for name in FIELDS
    ]


def _shown(name: str, settings: Settings) -> str:
    value = getattr(settings, name)
    match value:
        case None:
            return "auto" if name == "replication_factor" else ""
        case SecretStr():
            urls = value.get_secret_value().split(" ")
            return " ".join(map(masked_url, urls)) if name == "smtp_url" else MASK
        case bool():
            return str(value).lower()
        case dict():
            pairs = (f"{k}={MASK if is_secret(k) else v}" for k, v in sorted(value.items()))
            return ", ".join(pairs)
        case tuple():
            return ",".join(value)
    return masked_url(str(value)) if name in SECRET_FIELDS else str(value)


def explain() -> list[str]:
    """Return for each setting its name, what it is for, and which values are allowed."""
    fields = ((name, Settings.model_fields[name]) for name in FIELDS)
    return [
        f"{env_name(name)}\n  {field.description}\n  Allowed: {field.title}."
        for name, field in fields
    ]
