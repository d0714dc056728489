"""Which part asks what: the composition root of the doctor."""

from collections.abc import Callable, Collection, Sequence

from console.doctor.access import Whose, ask_allowed, check_access
from console.doctor.clock_checks import Compared, check_clocks
from console.doctor.dns_checks import examine_dns
from console.doctor.dns_facts import system_lookup
from console.doctor.finding import Answer, Finding, Part, Unasked
from console.doctor.grants import Role
from console.doctor.kafka_checks import Wanted, check_kafka
from console.doctor.kafka_facts import ASK_SECONDS, asked, gather, newest_record_ms
from console.doctor.kafka_tls import certificate_ends, check_certificates
from console.doctor.key_checks import examine_keys
from console.doctor.relay_checks import examine_relays
from console.doctor.rounds import examine_all
from console.doctor.schema_checks import examine_schemas
from console.doctor.template_checks import examine_templates
from console.doctor.view_checks import check_view
from console.doctor.view_facts import database_ahead_ms, look_at_view
from consumers.status.database import place_of
from consumers.status.reader import view_url
from consumers.status.store import Source
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties, client_properties
from runtime.settings import Settings


class Doctor:
    """Examines one set-up by its settings. It connects to nothing before it examines."""

    def __init__(
        self, settings: Settings, topology: Topology, clock: Clock, role: Role | None = None
    ) -> None:
        """Prepare to examine; `role` is whose access is asked for, None: any."""
        self._whose = Whose(topology, role, settings.operator_keys_file is not None)
        self._settings = settings
        self._topology = topology
        self._clock = clock

    def examine(self, only: Collection[Part]) -> list[Finding]:
        """Return what each of these parts found, or every part where none is named."""
        settings = self._settings
        parts: dict[Part, Callable[[], Sequence[Finding]]] = {
            Part.KAFKA: self._kafka,
            Part.ACCESS: self._access,
            Part.RELAY: lambda: examine_relays(settings, self._clock),
            Part.DATABASE: self._database,
            Part.KEYS: lambda: examine_keys(settings),
            Part.TEMPLATES: lambda: examine_templates(settings),
            Part.SCHEMAS: lambda: examine_schemas(settings),
            Part.CLOCK: self._clocks,
            Part.DNS: lambda: examine_dns(settings, system_lookup()),
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
        facts = gather(self._properties(), self._topology, self._clock)
        ends = certificate_ends(wanted.address, settings.kafka_properties)
        now = self._clock.now_ms() / 1000
        return [*check_kafka(facts, wanted), *check_certificates(ends, now)]

    def _access(self) -> Sequence[Finding]:
        return check_access(ask_allowed(self._properties(), self._whose), self._whose)

    def _database(self) -> Sequence[Finding]:
        key = self._settings.status_key
        url = view_url(self._settings)
        view = look_at_view(url, None if key is None else key.get_secret_value(), self._clock)
        known = None if isinstance(view, Unasked) else view.source
        there = None if known is None else self._source(list(known.topics))
        return check_view(view, there, place_of(url), self._clock.now_ms())

    def _source(self, topics: Sequence[str]) -> Answer[Source]:
        def ask() -> Source:
            admin = TopicAdmin(self._properties(), ASK_SECONDS)
            return Source(admin.cluster_id(), admin.topic_ids(topics))

        return asked(ask)

    def _clocks(self) -> Sequence[Finding]:
        newest = newest_record_ms(self._properties(), self._topology)
        ahead = (
            newest
            if newest is None or isinstance(newest, Unasked)
            else (newest - self._clock.now_ms())
        )
        return check_clocks(
            [
                Compared("newest record", ahead, one_sided=True),
                Compared("database", database_ahead_ms(view_url(self._settings), self._clock)),
            ]
        )

    def _properties(self) -> Properties:
        return client_properties(self._settings, role="doctor")
