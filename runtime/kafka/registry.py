"""A schema registry as a resolver of schema ids, over the client that comes with confluent-kafka.

The caller names the errors to raise, for this package does not know those of the wire format. Not
answering and answering no are kept apart: only the second says anything about a record.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

_TIMEOUT_SECONDS: Final = 5.0
_NOT_FOUND: Final = 404
#: Answers that say no for good to a schema that is to be registered: incompatible, invalid.
_REFUSED: Final = (409, 422)
_FAULTS: Final = (SchemaRegistryError, OAuthTokenError, httpx2.HTTPError, OSError)


@dataclass(frozen=True, slots=True)
class RegistryErrors:
    """Makes the errors that a registry raises, from a reason and from a schema id."""

    unavailable: Callable[[str], Exception]
    unknown: Callable[[int], Exception]


class SchemaRefused(Exception):
    """The registry will not have a schema under a subject; the message has its reason."""


class SchemaRegistry:
    """Looks up and registers schemas; what was found once is kept, for an id never changes."""

    def __init__(self, url: str, errors: RegistryErrors) -> None:
        """Prepare a client; it connects when it is asked. `mock://NAME` stays inside the process.

        The URL may hold a user and a password.
        """
        self._errors = errors
        self._texts: dict[int, str] = {}
        self._client = SchemaRegistryClient.new_client(
            {"url": url, "timeout": _TIMEOUT_SECONDS, "max.retries": 1, "retries.wait.ms": 200}
        )

    def register(self, subject: str, schema_text: str) -> int:
        """Return the id of an Avro schema under a subject, `<topic>-value` for a topic's values.

        Raises:
            SchemaRefused: the subject's rules forbid it.
            Exception: what `errors.unavailable` makes, where there is no answer.
        """
        try:
            return self._client.register_schema(subject, Schema(schema_text, "AVRO"))
        except _FAULTS as error:
            if isinstance(error, SchemaRegistryError) and error.http_status_code in _REFUSED:
                raise SchemaRefused(f"{subject}: {error}") from error
            raise self._errors.unavailable(_reason(error)) from error

    def takes(self, subject: str, schema_text: str) -> bool:
        """Tell whether `register` would succeed; nothing is registered.

        Raises:
            Exception: what `errors.unavailable` makes, where there is no answer.
        """
        try:
            return bool(self._client.test_compatibility(subject, Schema(schema_text, "AVRO")))
        except _FAULTS as error:
            if isinstance(error, SchemaRegistryError):
                if error.http_status_code == _NOT_FOUND:
                    return True  # the first version of a subject is compatible with anything
                if error.http_status_code in _REFUSED:
                    return False
            raise self._errors.unavailable(_reason(error)) from error

    def schema(self, schema_id: int) -> str:
        """Return the text of the schema with this id.

        Raises:
            Exception: what `errors.unknown` makes, where there is no such schema; what
                `errors.unavailable` makes, where there is no answer.
        """
        text = self._texts.get(schema_id)
        if text is None:
            text = self._texts[schema_id] = self._look_up(schema_id)
        return text

    def _look_up(self, schema_id: int) -> str:
        try:
            schema = self._client.get_schema(schema_id)
        except _FAULTS as error:
            if isinstance(error, SchemaRegistryError) and error.http_status_code == _NOT_FOUND:
                raise self._errors.unknown(schema_id) from error
            raise self._errors.unavailable(_reason(error)) from error
        if schema.schema_str is None:
            raise self._errors.unavailable(f"the answer for schema {schema_id} has no schema in it")
        return schema.schema_str


def _reason(error: Exception) -> str:
    return f"the schema registry does not answer as it should: {str(error) or repr(error)}"
