"""Which part asks what: the composition root of the doctor."""

from collections.abc import Callable, Collection, Sequence

from console.doctor.finding import Finding, Part
from console.doctor.kafka_checks import Wanted, check_kafka
from console.doctor.kafka_facts import gather
from console.doctor.relay_checks import examine_relays
from console.doctor.rounds import examine_all
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.kafka.client import Properties, client_properties
from runtime.settings import Settings


class Doctor:
    """Examines one set-up by its settings. It connects to nothing before it examines."""

    def __init__(self, settings: Settings, topology: Topology, clock: Clock) -> None:
        self._settings = settings
        self._topology = topology
        self._clock = clock

    def examine(self, only: Collection[Part]) -> list[Finding]:
        """Return what each of these parts found, or every part where none is named."""
        parts: dict[Part, Callable[[], Sequence[Finding]]] = {
            Part.KAFKA: self._kafka,
            Part.RELAY: lambda: examine_relays(self._settings, self._clock),
        }
        wanted = {part: ask for part, ask in parts.items() if not only or part in only}
        return examine_all(wanted, self._clock)

    def _kafka(self) -> Sequence[Finding]:
        settings = self._settings
        wanted = Wanted(
            settings.kafka_bootstrap_servers,
            self._topology,
            settings.replication_factor,
            settings.kafka_group_protocol,
        )
        return check_kafka(gather(self._properties(), self._topology), wanted)

    def _properties(self) -> Properties:
        return client_properties(self._settings, role="doctor")
