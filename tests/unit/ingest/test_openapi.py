"""The OpenAPI document tells the truth about what is taken and answered."""

import httpx2
import pytest

from ingest.status_queries import PARAMETERS
from tests.support.statuses import MAIL, MAIL_ID

ONE_MAIL = "/v1/emails/{id}"


async def document(client: httpx2.AsyncClient) -> dict:
    return (await client.get("/openapi.json")).json()


def references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


async def test_every_reference_leads_to_a_schema(client):
    """No schema is named that the document does not have."""
    whole = await document(client)
    known = {f"#/components/schemas/{name}" for name in whole["components"]["schemas"]}
    assert references(whole) <= known


@pytest.mark.parametrize("path", ["/v1/signups", "/v1/emails"])
async def test_the_examples_are_accepted(client, path):
    """Each example body gets the answer that the document has for it."""
    operation = (await document(client))["paths"][path]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert examples
    for example in examples.values():
        answer = await client.post(path, json=example["value"])
        assert answer.status_code == 202, answer.text
        assert answer.json().keys() == operation_example(operation, "202").keys()


async def test_the_examples_of_batches_are_accepted(client):
    """In both content types."""
    operation = (await document(client))["paths"]["/v1/emails/batch"]["post"]
    content = operation["requestBody"]["content"]
    array = content["application/json"]["example"]
    assert (await client.post("/v1/emails/batch", json=array)).status_code == 202
    answer = await client.post(
        "/v1/emails/batch",
        content=content["application/x-ndjson"]["example"].encode(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 202


async def test_what_can_be_answered_is_described(client):
    """Every status of the table of refusals, for every endpoint that takes a body."""
    paths = (await document(client))["paths"]
    for path in ("/v1/signups", "/v1/emails", "/v1/emails/batch"):
        described = set(paths[path]["post"]["responses"])
        assert described >= {"202", "400", "401", "413", "415", "422", "503"}
    assert "207" in paths["/v1/emails/batch"]["post"]["responses"]
    for method, path in (("get", "/v1/emails"), ("get", ONE_MAIL), ("delete", ONE_MAIL)):
        assert set(paths[path][method]["responses"]) >= {"401", "503"}
    assert set(paths[ONE_MAIL]["get"]["responses"]) >= {"200", "202", "404"}
    assert set(paths[ONE_MAIL]["delete"]["responses"]) >= {"202", "404"}


async def test_the_parameters_of_a_list_are_those_that_are_taken(client):
    """None is missing, and none is refused with its example."""
    operation = (await document(client))["paths"]["/v1/emails"]["get"]
    examples = {item["name"]: item.get("example") for item in operation["parameters"]}
    assert tuple(examples) == PARAMETERS
    given = {name: example for name, example in examples.items() if example is not None}
    assert len(given) == 5
    assert (await client.get("/v1/emails", params=given)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("get", "/v1/emails", "200"), ("get", ONE_MAIL, "200"), ("delete", ONE_MAIL, "202")],
)
async def test_the_examples_of_states_look_like_answers(client, statuses, method, path, status):
    """They have the fields that an answer has, at every depth; FastAPI leaves nulls out."""
    statuses.mails.append(MAIL)
    operation = (await document(client))["paths"][path][method]

    answer = await client.request(method.upper(), path.format(id=MAIL_ID))

    assert answer.status_code == int(status)
    assert shape(answer.json()) == shape(operation_example(operation, status))


def shape(node: object) -> object:
    if isinstance(node, dict):
        return {key: shape(value) for key, value in node.items() if value is not None}
    return [shape(item) for item in node] if isinstance(node, list) else None


def operation_example(operation: dict, status: str) -> dict:
    return operation["responses"][status]["content"]["application/json"]["example"]
