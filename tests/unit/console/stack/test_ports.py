"""Free loopback ports."""

import socket

from console.stack.ports import HOST, free_ports, is_free


def test_free_ports_are_different_and_free() -> None:
    """Each can be listened on."""
    ports = free_ports(5)

    assert len(set(ports)) == 5
    assert all(is_free(port) for port in ports)


def test_a_port_with_a_listener_is_not_free() -> None:
    """It is free again when the listener is gone."""
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)

    assert is_free(port)
