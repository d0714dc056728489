"""The registry resolver: what it keeps, and that no answer is never taken for the answer no."""

import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runtime.kafka.registry import RegistryErrors, SchemaRefused, SchemaRegistry

SCHEMA = json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]})


class Unavailable(Exception):
    """What these tests want raised where there is no answer."""


class Unknown(Exception):
    """What these tests want raised where there is no schema."""


ERRORS = RegistryErrors(Unavailable, Unknown)


@contextmanager
def registry_answering(status: int, body: dict[str, object]) -> Iterator[tuple[str, list[str]]]:
    """Yield the URL of a server that always answers this, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.rfile.flush()
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_registered_schema_is_found_by_its_id():
    """Registering it again gives the same id."""
    registry = SchemaRegistry(f"mock://{uuid.uuid4()}", ERRORS)
    schema_id = registry.register("mails-value", SCHEMA)
    assert registry.register("mails-value", SCHEMA) == schema_id
    assert registry.schema(schema_id) == SCHEMA


def test_a_schema_is_asked_for_once():
    """An id never changes its meaning."""
    with registry_answering(200, {"schema": SCHEMA}) as (url, asked):
        registry = SchemaRegistry(url, ERRORS)
        assert registry.schema(7) == registry.schema(7) == SCHEMA
    assert len(asked) == 1


def test_an_unknown_id_is_the_answer_no():
    """It is about the record, so it has an error of its own."""
    with pytest.raises(Unknown):
        SchemaRegistry(f"mock://{uuid.uuid4()}", ERRORS).schema(99)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
@pytest.mark.parametrize(
    "ask",
    [
        lambda registry: registry.schema(1),
        lambda registry: registry.register("mails-value", SCHEMA),
        lambda registry: registry.takes("mails-value", SCHEMA),
    ],
)
def test_a_fault_is_no_answer(status: int, ask: Callable[[SchemaRegistry], object]):
    """Wrong credentials, a rate limit and an error inside say nothing about a record."""
    with (
        registry_answering(status, {"error_code": status, "message": "no"}) as (url, _),
        pytest.raises(Unavailable),
    ):
        ask(SchemaRegistry(url, ERRORS))


def test_nobody_there_is_no_answer():
    """A refused connection is an outage."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable):
        SchemaRegistry(f"http://127.0.0.1:{port}", ERRORS).schema(1)


def test_an_incompatible_schema_is_refused():
    """With the registry's reason."""
    answer: dict[str, object] = {"error_code": 409, "message": "a is missing"}
    with (
        registry_answering(409, answer) as (url, _),
        pytest.raises(SchemaRefused, match="a is missing"),
    ):
        SchemaRegistry(url, ERRORS).register("mails-value", SCHEMA)


@pytest.mark.parametrize(
    ("status", "body", "takes"),
    [
        (200, {"is_compatible": True}, True),
        (200, {"is_compatible": False}, False),
        (404, {"error_code": 40401, "message": "Subject not found."}, True),
        (422, {"error_code": 42201, "message": "Invalid schema"}, False),
    ],
)
def test_a_registry_tells_beforehand_what_it_takes(
    status: int, body: dict[str, object], takes: bool
):
    """A subject that it does not know yet takes any schema."""
    with registry_answering(status, body) as (url, asked):
        assert SchemaRegistry(url, ERRORS).takes("mails-value", SCHEMA) is takes
    assert len(asked) == 1
