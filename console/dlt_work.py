"""Opens the dead-letter tool for a command: settings, templates, and who works with it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from console.failures import CommandFailed, ExitCode, explained
from console.operator import operator_of
from retry_topics.dlt.desk import Desk, Operator
from retry_topics.dlt.edit import BadTransform
from retry_topics.dlt.jobs import NotNow
from retry_topics.dlt.opening import open_desk
from retry_topics.dlt.operators import is_gone, new_job_id, process_name
from runtime.clock import SystemClock
from runtime.garbage import spare_collections
from runtime.kafka.errors import KafkaFault
from runtime.kafka.registry import RegistryErrors, SchemaRegistry
from runtime.settings import load_settings
from runtime.tracing import TracingUnavailable, ended, start_tracer
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import EventCodec
from schemas.errors import BrokenCatalogue, RegistryUnavailable, UnknownSchema


@contextmanager
def desk_of(environ: Mapping[str, str]) -> Iterator[Desk]:
    """Yield the desk; whatever a person can do something about becomes a `CommandFailed`."""
    settings = load_settings(environ)
    with explained(BrokenCatalogue, code=ExitCode.WRONG_SETTING):
        catalogue = Catalogue.load(settings.templates_dir or DEFAULT_DIRECTORY)
    url = settings.schema_registry_url
    errors = RegistryErrors(unavailable=RegistryUnavailable, unknown=UnknownSchema)
    codec = EventCodec(None if url is None else SchemaRegistry(url, errors))
    with explained(TracingUnavailable, code=ExitCode.WRONG_SETTING):
        tracer = start_tracer(settings, "replay")
    operator = Operator(operator_of(environ), process_name(), is_gone, new_job_id, tracer)
    with (
        ended(tracer),
        explained(KafkaFault, RegistryUnavailable, NotNow),
        explained(BadTransform, ValueError, code=ExitCode.WRONG_SETTING),
    ):
        desk = open_desk(settings, codec, catalogue, SystemClock(), operator)
        spare_collections()
        yield desk


def only(found: list[str], text: str) -> str:
    """Return the only one of several names that begins with a text.

    Raises:
        CommandFailed: there is none, or more than one.
    """
    matching = [name for name in found if name.startswith(text)]
    if len(matching) != 1:
        how = "no job has" if not matching else f"{len(matching)} jobs have"
        raise CommandFailed(
            f"{text}: {how} an id that begins so; `mailcascade dlt jobs` lists them"
        )
    return matching[0]
