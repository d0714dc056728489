"""Any payload is either accepted or refused with the fields that are bad; nothing else happens."""

import json

import httpx2
import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.diagnosis import diagnose
from ingest.payloads import BatchItem, EmailRequest, SignupRequest

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
GOOD = {
    "template": "plain",
    "to": {"address": "ada@example.com", "name": "Ada"},
    "data": {"subject": "Hi", "body": "x"},
    "locale": "en",
    "not_before": "2027-01-16T08:00:00Z",
    "expires_at": "2027-01-17T08:00:00Z",
    "idempotency_key": "k",
}
changes = st.dictionaries(st.sampled_from([*GOOD, "other"]), values, max_size=4)
_fixtures = [HealthCheck.function_scoped_fixture]


@given(raw=values, kind=st.sampled_from([SignupRequest, EmailRequest, BatchItem]))
def test_diagnosis_finds_a_problem_exactly_where_the_decoder_refuses(raw, kind):
    """The two never disagree on whether a body has the right shape."""
    try:
        body = msgspec.json.encode(raw)
        raw = msgspec.json.decode(body)
    except (OverflowError, UnicodeEncodeError, msgspec.ValidationError):
        return  # not something that can be sent as JSON
    try:
        decoded = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        assert diagnose(raw, kind)[1]
    else:
        assert diagnose(raw, kind) == (decoded, [])


@given(change=changes)
def test_each_field_of_a_wrong_shape_is_named(change):
    """By a path that starts with the field that was changed."""
    try:
        raw = msgspec.json.decode(msgspec.json.encode({**GOOD, **change}))
        msgspec.convert(raw, BatchItem)
    except msgspec.ValidationError:
        request, problems = diagnose(raw, BatchItem)
        assert request is not None
        assert {problem.field.partition(".")[0] for problem in problems} <= set(change)
        assert len({problem.field for problem in problems}) == len(problems)
    except (OverflowError, UnicodeEncodeError):
        return


@given(change=changes)
@settings(max_examples=60, suppress_health_check=_fixtures, deadline=None)
async def test_an_answer_is_an_id_or_the_bad_fields(client: httpx2.AsyncClient, publisher, change):
    """And a record exists exactly where there is an id."""
    publisher.records.clear()
    payload = {**GOOD, **change}
    payload.pop("idempotency_key")
    answer = await client.post(
        "/v1/emails",
        content=json.dumps(payload).encode(),
        headers={"Content-Type": "application/json"},
    )
    if answer.status_code == 202:
        assert len(publisher.records) == 1
        return
    assert answer.status_code == 422
    bad = {error["field"].partition(".")[0] for error in answer.json()["errors"]}
    # A changed template takes other variables, and changed times depend on each other.
    assert bad <= {*change, "data", "not_before", "expires_at"}
    assert not publisher.records
