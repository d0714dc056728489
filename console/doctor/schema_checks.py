"""The schemas: whether they are those that were released, and whether a registry takes them."""

from console.doctor.finding import Answer, Finding, Findings, Part, Unasked
from runtime.kafka.registry import RegistryErrors, SchemaRegistry
from runtime.settings import Settings
from schemas.archive import CURRENT_FINGERPRINT, ReleasedSchema, current_schema, schema_kinds
from schemas.errors import RegistryUnavailable, UnknownSchema


def examine_schemas(settings: Settings) -> list[Finding]:
    """Look at the schemas that are installed, and ask the registry where there is one."""
    subject = f"{settings.topic_prefix}-value"
    schema = current_schema()
    if settings.schema_registry_url is None:
        return check_schemas(schema, len(schema_kinds()), subject, None)
    errors = RegistryErrors(RegistryUnavailable, UnknownSchema)
    try:
        takes = SchemaRegistry(settings.schema_registry_url, errors).takes(subject, schema.text)
    except RegistryUnavailable as error:
        return check_schemas(schema, len(schema_kinds()), subject, Unasked(str(error)))
    return check_schemas(schema, len(schema_kinds()), subject, takes)


def check_schemas(
    schema: ReleasedSchema, kinds: int, subject: str, takes: Answer[bool] | None
) -> list[Finding]:
    """Return what is to be said; `takes` is whether the registry takes it, None without one."""
    findings = Findings(Part.SCHEMAS)
    if schema.fingerprint == CURRENT_FINGERPRINT:
        told = f"events are version {schema.version}, {schema.fingerprint.hex()}; {kinds} kinds"
        findings.ok("fingerprints", told)
    else:
        findings.fail(
            "fingerprints",
            f"the installed schema of events is {schema.fingerprint.hex()} and must be "
            f"{CURRENT_FINGERPRINT.hex()}: others cannot read what is written",
            "install mailcascade anew",
        )
    if isinstance(takes, Unasked):
        findings.fail(
            "registry",
            f"{takes.reason}; the API does not start, and workers hold the mails that need it",
            "is the registry up, and is MAILCASCADE_SCHEMA_REGISTRY_URL right?",
        )
    elif takes is None:
        findings.ok("registry", "none: each event names its schema by the fingerprint")
    elif takes:
        findings.ok("registry", f"it has, or takes, the schema as {subject}")
    else:
        findings.fail(
            "registry",
            f"the schema is not compatible with what is registered as {subject}: the API does not "
            "start",
            f"see what is registered as {subject}, and whose it is",
        )
    return findings.all
