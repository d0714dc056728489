"""How long the brokers' certificates last, asked by a handshake of our own."""

import socket
import ssl
from collections.abc import Mapping
from typing import Final

from console.doctor.finding import Answer, Finding, Findings, Part, Unasked
from console.relay_check import WORRY_DAYS

_SECONDS: Final = 5.0
_DAY_SECONDS: Final = 86_400
_PROTOCOLS: Final = ("ssl", "sasl_ssl")


def certificate_ends(bootstrap: str, properties: Mapping[str, str]) -> dict[str, Answer[float]]:
    """Return when each broker's certificate ends, in seconds since 1970, by `host:port`.

    Empty where brokers are not spoken to by TLS. Only those that the settings name are asked.
    """
    if properties.get("security.protocol", "").lower() not in _PROTOCOLS:
        return {}
    brokers = [broker.strip().rpartition("://")[2] for broker in bootstrap.split(",")]
    return {broker: _end(broker, properties.get("ssl.ca.location")) for broker in brokers}


def _end(broker: str, authorities: str | None) -> Answer[float]:
    host, _, port = broker.rpartition(":")
    try:
        context = ssl.create_default_context(cafile=authorities)
        with (
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host.strip("[]")) as secured,
        ):
            ends = (secured.getpeercert() or {}).get("notAfter")
    except (OSError, ValueError) as error:
        return Unasked(str(error))
    if ends is None:
        return Unasked("it shows no certificate")
    return float(ssl.cert_time_to_seconds(str(ends)))


def check_certificates(ends: Mapping[str, Answer[float]], now: float) -> list[Finding]:
    """Return what is to be said of brokers' certificates at `now`, in seconds since 1970."""
    findings = Findings(Part.KAFKA)
    for broker, end in ends.items():
        if isinstance(end, Unasked):
            findings.unknown("certificate", f"{broker}: {end.reason}")
            continue
        days = int((end - now) // _DAY_SECONDS)
        if days < WORRY_DAYS:
            findings.warn(
                "certificate",
                f"that of {broker} ends in {days} days; nothing connects to it afterwards",
                "renew it, and have the broker load it",
            )
        else:
            findings.ok("certificate", f"that of {broker} is valid for {days} days")
    return findings.all
