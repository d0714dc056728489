"""The OpenAPI document tells the truth about what is taken and answered."""

import httpx2
import pytest


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
    assert "/v1/emails/{id}" not in paths


def operation_example(operation: dict, status: str) -> dict:
    return operation["responses"][status]["content"]["application/json"]["example"]
