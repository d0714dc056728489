"""Changes on the way back: what they may change, what they may not, and that all is checked."""

import pytest
from msgspec import structs

from retry_topics.dlt.edit import (
    MOST_SOURCE,
    BadTransform,
    Editor,
    EditRefused,
    encode_like,
    load_transform,
)
from schemas.archive import current_schema
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import EventCodec, encode
from schemas.dlt_journal import Position
from schemas.events import Recipient, SignupEvent
from schemas.replay_jobs import Edit
from tests.support.mailer import signup

CATALOGUE = Catalogue.load(DEFAULT_DIRECTORY)
EVENT = signup("ada@example.com", expires_at=2_000, data={"confirm_url": "https://e.org/c"})
PLACE = Position(0, 1)


def apply(edit: Edit, source: str | None = None, event: SignupEvent = EVENT) -> SignupEvent:
    transform = None if source is None else load_transform(source, "t.py")
    return Editor(edit, CATALOGUE, transform, "job").apply(event, PLACE, 1_000)


def test_other_data_and_templates_are_checked_against_the_catalogue() -> None:
    """What the template does not take is refused, with the reason."""
    assert apply(Edit(data={"confirm_url": "https://e.org/d"})).data == {
        "confirm_url": "https://e.org/d"
    }
    with pytest.raises(EditRefused, match="no_such"):
        apply(Edit(template="no_such"))
    with pytest.raises(EditRefused, match="confirm_url"):
        apply(Edit(data={"confirm_url": "nonsense"}))
    with pytest.raises(EditRefused, match="other"):
        apply(Edit(data={"other": "x"}))


def test_what_is_not_changed_is_not_checked() -> None:
    """A mail that died of its data may be replayed as it is, once the template is mended."""
    odd = structs.replace(EVENT, data={"other": "x"})

    assert apply(Edit(renew_expiry_ms=5_000), event=odd) == structs.replace(odd, expires_at=6_000)


def test_more_time_is_never_less() -> None:
    """Nor does a mail without an end get one."""
    assert apply(Edit(renew_expiry_ms=500)).expires_at == 2_000
    assert (
        apply(Edit(renew_expiry_ms=500), event=structs.replace(EVENT, expires_at=None)).expires_at
        is None
    )


def test_a_new_mail_has_the_same_id_each_time_it_is_made() -> None:
    """A job that is killed in between makes it once; another job makes another mail."""
    one, two = apply(Edit(as_new=True)), apply(Edit(as_new=True))

    assert one.event_id == two.event_id != EVENT.event_id
    assert (one.occurred_at, one.idempotency_key) == (1_000, None)


def test_a_transformation_changes_the_event() -> None:
    """It gets a copy of the fields and returns them."""
    source = "def transform(event):\n    event['locale'] = 'de'\n    return event\n"

    assert apply(Edit(transform=source), source) == structs.replace(EVENT, locale="de")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return None", "left it out"),
        ("return 5", "returned int"),
        ("raise KeyError('x')", "raised KeyError"),
        ("return {**event, 'event_id': 'x'}", "event_id"),
        ("return {**event, 'tenant': 'x'}", "tenant"),
        ("return {**event, 'more': 1}", "more"),
        ("return {**event, 'data': {'a': 1}}", "texts"),
        ("return {**event, 'expires_at': 'soon'}", "expires_at"),
        ("return {**event, 'recipient': {'address': 'nobody'}}", "recipient"),
        ("return {**event, 'recipient': {'address': 'b@example.com'}}", "--as-new"),
        ("return {**event, 'template': 'gone'}", "gone"),
    ],
)
def test_a_transformation_that_goes_too_far_is_refused(body: str, told: str) -> None:
    """What is fixed stays, and what is changed must be valid."""
    source = f"def transform(event):\n    {body}\n"

    with pytest.raises(EditRefused, match=told):
        apply(Edit(transform=source), source)


def test_a_new_mail_may_be_for_somebody_else() -> None:
    """Whose address is brought into the normal form."""
    source = "def transform(e):\n    e['recipient']['address'] = 'B@EXAMPLE.com'\n    return e\n"

    assert apply(Edit(as_new=True), source).recipient == Recipient("B@example.com")


@pytest.mark.parametrize(
    "source", ["def transform(", "raise ValueError", "other = 1", "#" * (MOST_SOURCE + 1)]
)
def test_a_source_that_cannot_be_used_is_refused(source: str) -> None:
    """Before anything is read or written."""
    with pytest.raises(BadTransform, match=r"t\.py"):
        load_transform(source, "t.py")


class OneSchema:
    """A registry that knows the current schema as number 7, and an older one as number 8."""

    def schema(self, schema_id: int) -> str:
        return current_schema().text


def test_a_changed_event_is_framed_as_its_original() -> None:
    """By the registry's id where that names our schema, else in single-object encoding."""
    codec = EventCodec(OneSchema())
    changed = structs.replace(EVENT, locale="de")

    assert encode_like(changed, EVENT, encode(EVENT), codec) == encode(changed)
    framed = encode(EVENT, schema_id=7)
    assert encode_like(changed, EVENT, framed, codec) == encode(changed, schema_id=7)
    other = framed + b"\x00"
    assert encode_like(changed, EVENT, other, codec) == encode(changed)
    with pytest.raises(EditRefused):
        encode_like(structs.replace(EVENT, expires_at=2**70), EVENT, encode(EVENT), codec)
