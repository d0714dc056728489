"""`mailcascade up`, as a person runs it."""

import os
import shlex
import signal
import socket
from pathlib import Path

import httpx2
import pytest

from console.stack.ports import HOST, free_ports
from tests.support.processes import Command
from tests.support.wait import wait_until

READY = "Ctrl-C stops everything"


class Ports:
    """Free ports for one stack and the options that choose them."""

    def __init__(self) -> None:
        self.kafka, self.smtp, self.page, self.api = free_ports(4)
        self.options = (
            f"--kafka-port={self.kafka}",
            f"--smtp-port={self.smtp}",
            f"--mail-page-port={self.page}",
            f"--api-port={self.api}",
        )

    def sign_up(self, address: str) -> str:
        """Post a signup and return the mail's id."""
        body = {"email": address, "confirm_url": "https://app.example.com/confirm?token=1"}
        answer = httpx2.post(f"http://{HOST}:{self.api}/v1/signups", json=body, timeout=10)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def caught(self, address: str) -> int:
        """Return how many mails to the address were caught."""
        url = f"http://{HOST}:{self.page}/api/mails"
        return len(httpx2.get(url, params={"to": address}, timeout=10).json())


def ask_as_told(up: Command, *more: str) -> str:
    """Ask in another shell as `up` says to, and return the answer."""
    (line,) = (line for line in up.output.splitlines() if line.endswith("mailcascade status"))
    (setting,) = (word for word in shlex.split(line) if word.startswith("MAILCASCADE_CONFIG="))
    name, _, file = setting.partition("=")
    with Command("status", *more, environ={name: file}) as status:
        status.exit_code(30)
        return status.output


@pytest.fixture
def ports() -> Ports:
    """Ports of this test's own."""
    return Ports()


def test_up_delivers_shows_where_and_stops_in_order(ports: Ports, tmp_path: Path) -> None:
    """The addresses work, the line counts, status answers, SIGTERM ends it, data can be kept."""
    data = f"--data-dir={tmp_path / 'data'}"
    with Command("up", "--tiers=1s,2s", data, *ports.options) as up:
        up.wait_for(READY)
        assert f"http://127.0.0.1:{ports.api}/docs" in up.output
        ada = ports.sign_up("ada@example.com")
        ports.sign_up("bob+bounce@example.com")
        wait_until(lambda: ports.caught("ada@example.com") == 1)
        up.wait_for("accepted 2 | sent 1 | waiting  1s: 0  2s: 0 | dead-lettered 1")
        wait_until(lambda: ask_as_told(up, ada).startswith("sent: accepted by the relay"))
        assert ask_as_told(up).endswith("2 mails\n")
        up.signal(signal.SIGTERM)

        assert up.exit_code(60) == 0, up.output
        assert up.left_behind() == {}

    with Command("up", "--tiers=1s,2s", data, *ports.options) as again:
        again.wait_for(READY)
        ports.sign_up("eve@example.com")
        wait_until(lambda: ports.caught("eve@example.com") == 1)
        assert ports.caught("ada@example.com") == 0, "a mail of the last time was sent again"
        wait_until(lambda: ask_as_told(again, ada).startswith("sent: accepted by the relay"))
        again.signal(signal.SIGINT)

        assert again.exit_code(60) == 0, again.output
    assert "Traceback" not in up.output + again.output


def test_a_part_that_dies_is_named_and_the_rest_is_stopped(ports: Ports, tmp_path: Path) -> None:
    """The message has the part, how it ended, and the end of its log; all logs are kept."""
    with Command("up", *ports.options, environ={"TMPDIR": str(tmp_path)}) as up:
        up.wait_for(READY)
        os.kill(up.find("console.stack.catcher"), signal.SIGKILL)

        assert up.exit_code(60) == 1
        assert up.left_behind() == {}
    assert "Mail catcher was ended by signal 9. The end of its log:" in up.output
    assert f"SMTP on 127.0.0.1:{ports.smtp}" in up.output
    (kept,) = tmp_path.iterdir()
    assert str(kept) in up.output
    assert (kept / "logs" / "workers.log").exists()


def test_a_taken_port_is_named_before_anything_starts(ports: Ports) -> None:
    """The message says which option chooses another one."""
    with socket.create_server((HOST, ports.page)), Command("up", *ports.options) as up:
        assert up.exit_code(30) == 1
    assert f"port {ports.page} on 127.0.0.1 is in use" in up.output
    assert "--mail-page-port" in up.output


def test_wrong_tiers_are_a_wrong_option(ports: Ports) -> None:
    """Exit code 2, as for every value that cannot be used."""
    with Command("up", "--tiers=5s,3s", *ports.options) as up:
        assert up.exit_code(30) == 2
    assert "must ascend" in up.output
