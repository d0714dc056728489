"""Which trace a request, a record or an attempt belongs to: W3C Trace Context, read and written.

Source: W3C Trace Context, level 2 (https://www.w3.org/TR/trace-context-2/). A context is read
strictly: one with any fault counts as none, because a wrong trace is worse than no trace. On a
record it is a header of its own, rewritten by whoever hands the record on; where the journey began
is kept beside it as CloudEvents' extension for distributed tracing has it.
"""

import re
from contextvars import ContextVar
from typing import Final, NamedTuple

from runtime.kafka.records import Headers

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
#: The context that the mail was accepted in. Nobody changes them.
ORIGIN_TRACEPARENT: Final = "ce_traceparent"
ORIGIN_TRACESTATE: Final = "ce_tracestate"

#: What is carried on of a `tracestate`; the standard asks for so many characters at least.
STATE_CHARACTERS: Final = 512
_MOST_MEMBERS: Final = 32
_LONG_MEMBER: Final = 128
_SAMPLED: Final = 0x01
#: Sampled, and that the trace id is random; all other bits are for later versions.
_KNOWN_FLAGS: Final = 0x03
_PARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?",
    re.DOTALL,
)
_MEMBER: Final = re.compile(
    r"([a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class TraceContext(NamedTuple):
    """One span of one trace, as others are told of it.

    Ids in lower-case hexadecimal, 32 and 16 digits; `state` is a `tracestate`, "" for none.
    """

    trace_id: str
    span_id: str
    flags: int = 0
    state: str = ""

    @property
    def sampled(self) -> bool:
        """Tell whether somebody keeps this span, so that it is worth while to go on with it."""
        return bool(self.flags & _SAMPLED)

    @property
    def parent(self) -> str:
        """The `traceparent`, in version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & _KNOWN_FLAGS:02x}"


#: What the running task does is part of this; None where nobody told of a trace.
CURRENT: Final[ContextVar[TraceContext | None]] = ContextVar("trace", default=None)


def parse_context(parent: bytes | None, state: bytes | None = None) -> TraceContext | None:
    """Return the context in the two headers; None where there is none, or a wrong one.

    A wrong `tracestate` is left out, without harm to the other. Of a version that is not known yet
    that much is read which every version has to have.
    """
    match = _PARENT.fullmatch(parent) if parent is not None else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if rest is not None and version == b"00":
        return None
    known = int(flags, 16) & _KNOWN_FLAGS
    return TraceContext(trace_id.decode(), span_id.decode(), known, parse_state(state))


def parse_state(state: bytes | None) -> str:
    """Return the members of a `tracestate`, as many as are carried on; "" where one is wrong."""
    if not state:
        return ""
    try:
        written = [member.strip(" \t") for member in state.decode("ascii").split(",")]
    except UnicodeDecodeError:
        return ""
    members = [member for member in written if member]
    keys = {member.partition("=")[0] for member in members}
    if len(keys) < len(members) or len(members) > _MOST_MEMBERS:
        return ""
    if not all(_MEMBER.fullmatch(member) for member in members):
        return ""
    return _shortened(members)


def read_context(headers: Headers) -> TraceContext | None:
    """Return the context that a record was written in."""
    found = {name: value for name, value in headers if name in (TRACEPARENT, TRACESTATE)}
    return parse_context(found.get(TRACEPARENT), found.get(TRACESTATE)) if found else None


def read_origin(headers: Headers) -> TraceContext | None:
    """Return the context that the record's mail was accepted in."""
    found = dict(headers)
    return parse_context(found.get(ORIGIN_TRACEPARENT), found.get(ORIGIN_TRACESTATE))


def first_headers() -> Headers:
    """Return the headers of a record that begins its journey in the running task's trace."""
    context = CURRENT.get()
    if context is None:
        return ()
    headers = [(TRACEPARENT, context.parent), (ORIGIN_TRACEPARENT, context.parent)]
    if context.state:
        headers += [(TRACESTATE, context.state), (ORIGIN_TRACESTATE, context.state)]
    return tuple((name, text.encode()) for name, text in headers)


def with_context(headers: Headers, context: TraceContext) -> Headers:
    """Return a record's headers as handed on in this context; all others keep their order."""
    kept = tuple(item for item in headers if item[0] not in (TRACEPARENT, TRACESTATE))
    told: Headers = ((TRACEPARENT, context.parent.encode()),)
    if context.state:
        told += ((TRACESTATE, context.state.encode()),)
    return kept + told


def _shortened(members: list[str]) -> str:
    """Leave out what is too much: long members first, then from the end, as the standard says."""
    if _length(members) > STATE_CHARACTERS:
        members = [member for member in members if len(member) <= _LONG_MEMBER]
    while _length(members) > STATE_CHARACTERS:
        members.pop()
    return ",".join(members)


def _length(members: list[str]) -> int:
    return sum(map(len, members)) + max(0, len(members) - 1)
