"""The doctor's questions to a resolver: an answer, none, and silence."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset

from console.doctor.dns_facts import lookup_by
from console.doctor.finding import Answer, Unasked

_TEXTS: Final = {"shop.se.": ('"v=spf1 " "-all"', '"other"'), "empty.se.": ()}


@contextmanager
def _resolver() -> Iterator[dns.resolver.Resolver]:
    """Yield a resolver whose server knows two names, denies others, and is silent about one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)
        stopped = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, stopped))
        thread.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = server.getsockname()[1]
        try:
            yield resolver
        finally:
            stopped.set()
            thread.join()


def _serve(server: socket.socket, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            wire, client = server.recvfrom(4096)
        except TimeoutError:
            continue
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text()
        if name == "silent.se.":
            continue
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name not in _TEXTS:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif _TEXTS[name]:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *_TEXTS[name]))
        server.sendto(answer.to_wire(), client)


def _sorted(texts: Answer[tuple[str, ...]]) -> list[str]:
    """Return texts in an order of their own: the DNS has none."""
    assert not isinstance(texts, Unasked), texts
    return sorted(texts)


def test_a_resolver_is_asked_until_it_does_not_answer() -> None:
    """Strings of one record are one text; no record is an answer; silence is waited for once."""
    with _resolver() as resolver:
        lookup = lookup_by(lambda: resolver, 1.5)

        assert _sorted(lookup("shop.se")) == ["other", "v=spf1 -all"]
        assert lookup("empty.se") == lookup("nobody.se") == ()
        silent = lookup("silent.se")
        assert isinstance(silent, Unasked)
        assert "does not answer" in silent.reason
        assert lookup("shop.se") == silent


def test_a_machine_without_a_resolver_has_no_answers() -> None:
    """As in a container without a network."""

    def unconfigured() -> dns.resolver.Resolver:
        raise dns.resolver.NoResolverConfiguration("there is no /etc/resolv.conf")

    assert isinstance(lookup_by(unconfigured, 0.3)("shop.se"), Unasked)
