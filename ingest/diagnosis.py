"""Names every field of a body that has the wrong shape; the decoder itself stops at the first.

Only bodies that the decoder refused come here, so it may take its time.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec.inspect import (
    DateTimeType,
    DictType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    type_info,
)
from msgspec.structs import FieldInfo

from ingest.payloads import To
from ingest.problems import FieldProblem

T = TypeVar("T", bound=msgspec.Struct)

_OBJECT: Final = "must be an object"
_EXPECTED: Final[dict[type[Type], str]] = {
    StrType: "must be a string",
    DictType: _OBJECT,
    DateTimeType: "must be an RFC 3339 instant with a time zone, such as 2031-01-31T09:00:00Z",
}


def diagnose(raw: object, kind: type[T]) -> tuple[T | None, list[FieldProblem]]:
    """Return what can be read of a body, and a problem for each field that cannot.

    Fields that cannot be read have a blank value in the result, so that the checks of values can
    go on; None where the body is no object at all.
    """
    problems: list[FieldProblem] = []
    return _struct(raw, kind, "", problems), problems


def covered(field: str, problems: list[FieldProblem]) -> bool:
    """Tell whether a field, or what it is part of, already has a problem."""
    return any(
        field == problem.field or field.startswith(f"{problem.field}.") for problem in problems
    )


def _struct(raw: object, kind: type[T], path: str, problems: list[FieldProblem]) -> T | None:
    if not isinstance(raw, dict):
        problems.append(FieldProblem(path, _OBJECT))
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in raw:
        if name not in fields:
            problems.append(FieldProblem(_join(path, name), "is not a field"))
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in raw:
            values[name] = _value(raw[name], field, _join(path, name), problems)
        elif field.required:
            problems.append(FieldProblem(_join(path, name), "is required"))
            values[name] = _blank(field)
    return kind(**values)


def _value(raw: object, field: FieldInfo, path: str, problems: list[FieldProblem]) -> Any:
    shape = _shape(field)
    if isinstance(shape, StructType):
        part = _struct(raw, shape.cls, path, problems)
        return _blank(field) if part is None else part
    if isinstance(shape, DictType) and isinstance(raw, dict):
        return _texts(raw, path, problems)
    try:
        return msgspec.convert(raw, field.type)
    except msgspec.ValidationError:
        problems.append(FieldProblem(path, _EXPECTED[type(shape)]))
        return _blank(field)


def _texts(raw: Mapping[str, object], path: str, problems: list[FieldProblem]) -> dict[str, str]:
    for name, value in raw.items():
        if not isinstance(value, str):
            problems.append(FieldProblem(_join(path, name), _EXPECTED[StrType]))
    return {name: value for name, value in raw.items() if isinstance(value, str)}


def _blank(field: FieldInfo) -> object:
    if not field.required:
        return field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return To(address="") if field.type is To else ""


def _shape(field: FieldInfo) -> Type:
    """Return what a field holds, without the null that an optional one may be instead."""
    shape = type_info(field.type)
    if isinstance(shape, UnionType):
        shape = next(part for part in shape.types if not isinstance(part, NoneType))
    return shape.type if isinstance(shape, Metadata) else shape


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
