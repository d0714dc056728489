"""Released schemas never change, and all versions understand each other."""

import itertools
import json
from pathlib import Path

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from schemas.archive import (
    CURRENT_FINGERPRINT,
    ReleasedSchema,
    current_schema,
    released_schemas,
    schema_kinds,
)

#: Each released version with its fingerprint in wire order. Lines are added here, never changed.
PINNED = {
    "signup_event": {1: "26c2c968be63c40d"},
    "ledger_entry": {1: "94adc6eda559185f"},
    "control_command": {1: "f934769ade7a490e"},
    "suppression": {1: "03b78bda4f6e459b"},
    "worker_outages": {1: "fcc6e0a88bbe6f05"},
    "switch": {1: "ee633aef7f5938fb"},
    "dlt_entry": {1: "d7442d46e15cdf9d"},
    "dlt_claim": {1: "3972dcc6e0509a87"},
    "replay_job": {1: "77e7dc0739d7acf0", 2: "503105749072be7d"},
    "dlt_rows": {1: "68a3310bf8e1f8fc"},
    "dlt_export": {1: "50bc8f67a6332016"},
}
ALL = [schema for kind in PINNED for schema in released_schemas(kind)]
PAIRS = [
    pytest.param(reader, writer, id=f"{kind}-reader-v{reader.version}-writer-v{writer.version}")
    for kind in PINNED
    for reader in released_schemas(kind)
    for writer in released_schemas(kind)
]

#: The Parsing Canonical Form of version 1, written out by hand from the Avro specification.
FORM_1 = (
    '{"name":"com.mailcascade.SignupEvent","type":"record","fields":['
    '{"name":"event_id","type":"string"},'
    '{"name":"occurred_at","type":"long"},'
    '{"name":"template","type":"string"},'
    '{"name":"recipient","type":{"name":"com.mailcascade.Recipient","type":"record","fields":['
    '{"name":"address","type":"string"},{"name":"name","type":["null","string"]}]}},'
    '{"name":"locale","type":"string"},'
    '{"name":"data","type":{"type":"map","values":"string"}},'
    '{"name":"tenant","type":"string"},'
    '{"name":"not_before","type":["null","long"]},'
    '{"name":"expires_at","type":["null","long"]},'
    '{"name":"idempotency_key","type":["null","string"]}]}'
)


def rabin(data: bytes) -> bytes:
    """CRC-64-AVRO as the specification writes it down, in wire order."""
    empty = 0xC15D213AA4D7A795
    fingerprint = empty
    for byte in data:
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (empty if fingerprint & 1 else 0)
    return fingerprint.to_bytes(8, "little")


def compatible(reader: str, writer: str) -> bool:
    """Ask Apache Avro whether the reader can read everything that the writer writes."""
    checker = ReaderWriterCompatibilityChecker()
    result = checker.get_compatibility(avro.schema.parse(reader), avro.schema.parse(writer))
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


def changed(**change: object) -> str:
    """The current schema with one more field."""
    schema = json.loads(current_schema().text)
    schema["fields"].append({"name": "campaign", "type": "string", **change})
    return json.dumps(schema)


def test_each_released_fingerprint_is_pinned() -> None:
    """A released schema's fingerprint is the one it was released with, and none went missing."""
    found = {
        kind: {schema.version: schema.fingerprint.hex() for schema in released_schemas(kind)}
        for kind in schema_kinds()
    }

    assert found == PINNED


def test_the_fingerprint_is_the_specification_s() -> None:
    """The fingerprint agrees with the specification's own algorithm over the canonical form."""
    assert released_schemas()[0].fingerprint == rabin(FORM_1.encode())


def test_the_current_fingerprint_is_the_newest_schema_s() -> None:
    """What `encode` announces is the newest released version."""
    assert current_schema().fingerprint == CURRENT_FINGERPRINT


def test_every_schema_file_is_a_released_version() -> None:
    """No file lies beside the archive that it does not see."""
    directory = Path(__file__).parents[3] / "schemas" / "avro"

    assert sorted(entry.name for entry in directory.iterdir()) == sorted(
        f"{kind}.v{schema.version}.avsc" for kind in PINNED for schema in released_schemas(kind)
    )


@pytest.mark.parametrize(("reader", "writer"), PAIRS)
def test_every_version_reads_every_version(reader: ReleasedSchema, writer: ReleasedSchema) -> None:
    """Compatibility holds backward and forward among all released versions."""
    assert compatible(reader.text, writer.text)


def test_a_new_field_with_a_default_is_compatible_both_ways() -> None:
    """The way to add a field: old readers skip it, new readers have its default."""
    text = changed(default="")

    assert compatible(text, current_schema().text)
    assert compatible(current_schema().text, text)


def test_a_new_field_without_a_default_is_caught() -> None:
    """The check does fail: a new reader cannot read what lacks a field without a default."""
    assert not compatible(changed(), current_schema().text)


def test_a_changed_type_is_caught_both_ways() -> None:
    """The check does fail: a field whose type changes is read by neither side."""
    text = current_schema().text.replace('"values": "string"', '"values": "long"')

    pairs = itertools.permutations((text, current_schema().text))
    assert [compatible(*pair) for pair in pairs] == [False, False]


@pytest.mark.parametrize("schema", ALL, ids=lambda schema: json.loads(schema.text)["name"])
def test_every_field_is_documented(schema: ReleasedSchema) -> None:
    """Whoever reads a schema learns what each field means."""
    record = json.loads(schema.text)
    inner = [
        field
        for outer in record["fields"]
        if isinstance(outer["type"], dict)
        for field in outer["type"].get("fields", ())
    ]

    assert [field["name"] for field in record["fields"] + inner if not field.get("doc")] == []
