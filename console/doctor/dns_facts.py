"""Asking this machine's resolver for text records."""

from collections.abc import Callable
from typing import Final, TypeAlias

import dns.exception
import dns.resolver

from console.doctor.finding import Answer, Unasked

#: The texts under a name, each as one string; () where the DNS answers that there are none.
Lookup: TypeAlias = Callable[[str], Answer[tuple[str, ...]]]

_SECONDS: Final = 3.0


def system_lookup() -> Lookup:
    """Return a function that asks the resolver of this machine (see `lookup_by`)."""
    return lookup_by(dns.resolver.Resolver, _SECONDS)


def lookup_by(resolver: Callable[[], dns.resolver.Resolver], seconds: float) -> Lookup:
    """Return a function that asks a resolver, which is made when it is asked.

    It waits for so many seconds once: a resolver that did not answer is not asked again.
    """
    silent: list[str] = []

    def texts(name: str) -> Answer[tuple[str, ...]]:
        if silent:
            return Unasked(silent[0])
        try:
            answer = resolver().resolve(name, "TXT", lifetime=seconds)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError) as error:
            silent.append(f"the DNS does not answer ({type(error).__name__}: {error})")
            return Unasked(silent[0])
        return tuple(
            b"".join(record.strings).decode("utf-8", "replace") for record in answer.rrset or ()
        )

    return texts
