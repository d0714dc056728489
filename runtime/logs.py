"""Logs: one JSON object per line with an event name and fields, addresses masked.

Console lines instead of JSON where a person looks on. A body or a whole address never gets here:
what looks like an address is masked in every string, whoever logged it.
"""

import logging
import re
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Final, Protocol, TextIO

import structlog

from runtime.trace_context import CURRENT

_ADDRESS: Final = re.compile(r"[^\s<>()\[\]{},;:=/\"'|@]+@[^\s<>()\[\]{},;:=\"'|@/]+")
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s@]+@")
_LEVEL_OF: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
#: The standard library's loggers that libraries under us write to.
_QUIET: Final = ("alembic", "asyncio", "uvicorn")


class Subject(Protocol):
    """What a task works on."""

    def log_fields(self) -> Mapping[str, str]:
        """Return by what each line of the task is found, such as `mail_id` and `trace_id`."""


#: What the running task works on. It is asked when a line is written, whoever writes it, so that
#: no line can lack its ids and a task that writes none pays nothing.
SUBJECT: Final[ContextVar[Subject | None]] = ContextVar("subject", default=None)


def mask_address(address: str) -> str:
    """Return an address with only its first character and its domain: `a***@example.com`."""
    local, at, domain = address.rpartition("@")
    if local == "***":
        return address
    return f"{local[:1]}***@{domain}" if at else address


def mask_addresses(text: str) -> str:
    """Mask everything in a text that looks like an address, and the credentials in a URL."""
    if "@" not in text:
        return text
    return _ADDRESS.sub(lambda match: mask_address(match[0]), _CREDENTIALS.sub("***@", text))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose lines carry the name of the part that wrote them.

    Its configuration is looked up when it writes, so a module may hold one.
    """
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(part=name)
    return logger


def configure_logs(level: str, stream: TextIO) -> None:
    """Send every log line of this process to `stream`, ours and the libraries' alike."""
    least = _LEVEL_OF[level]
    shared: list[structlog.typing.Processor] = [
        _tell_subject,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering = _rendering(stream)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_part],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(least)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(least, logging.WARNING))


def _rendering(stream: TextIO) -> list[structlog.typing.Processor]:
    last: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(
            timestamp_key="ts", exception_formatter=structlog.dev.plain_traceback
        )
        if stream.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    )
    # A traceback holds values too, so it becomes text before the masking.
    return [structlog.processors.format_exc_info, _mask, last]


def _tell_subject(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    subject, trace = SUBJECT.get(), CURRENT.get()
    if subject is not None:
        for name, value in subject.log_fields().items():
            event.setdefault(name, value)
    if trace is not None:
        event.setdefault("trace_id", trace.trace_id)
    return event


def _name_part(
    logger: logging.Logger, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    record = event.get("_record")
    event["part"] = record.name if isinstance(record, logging.LogRecord) else logger.name
    return event


def _mask(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    for key, value in event.items():
        event[key] = _masked(value)
    return event


def _masked(value: object) -> object:
    match value:
        case str():
            return mask_addresses(value)
        case bool() | int() | float() | None:
            return value
        case Mapping():
            return {str(key): _masked(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(item) for item in value]
        case bytes():
            return f"{len(value)} bytes"
    return mask_addresses(str(value))
