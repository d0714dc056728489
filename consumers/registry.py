"""The schema registry that events are read with, where there is one."""

from runtime.kafka.registry import RegistryErrors, SchemaRegistry
from runtime.settings import Settings
from schemas.errors import RegistryUnavailable, UnknownSchema


def registry_of(settings: Settings) -> SchemaRegistry | None:
    """Return the registry that the settings name, None where they name none."""
    if settings.schema_registry_url is None:
        return None
    errors = RegistryErrors(unavailable=RegistryUnavailable, unknown=UnknownSchema)
    return SchemaRegistry(settings.schema_registry_url, errors)
