"""What can be wrong with what is on the wire.

SchemasError
├── InvalidAddress        (ValueError)   a text is not an e-mail address that mail can be sent to
├── Undecodable           (ValueError)   bytes are not an event: poison, no retry helps
├── UnknownSchema         (LookupError)  the registry answers that it has no schema of that id
├── RegistryUnavailable                  the registry does not answer: an outage, never poison
├── UnknownTemplate       (LookupError)  the catalogue has no template of that name
└── BrokenCatalogue       (ValueError)   a templates directory cannot be used; lists every problem
"""

from collections.abc import Sequence


class SchemasError(Exception):
    """The root: something on the wire is not as agreed."""


class InvalidAddress(SchemasError, ValueError):
    """A text is not an address that mail can be sent to. The message says why."""


class Undecodable(SchemasError, ValueError):
    """Bytes are not an event of any released schema. Trying again cannot help."""


class UnknownSchema(SchemasError, LookupError):
    """The schema registry answers that it has no schema of this id."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"the schema registry has no schema with id {schema_id}")
        self.schema_id = schema_id


class RegistryUnavailable(SchemasError):
    """The schema registry does not answer, so nothing is known about the bytes."""


class UnknownTemplate(SchemasError, LookupError):
    """The catalogue has no template of this name. `known` are the names that it has."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"there is no template {name[:100]!r}; the templates are {', '.join(known)}"
        )
        self.name = name
        self.known = tuple(known)


class BrokenCatalogue(SchemasError, ValueError):
    """A templates directory cannot be used. `problems` are all that were found in it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
