"""`mailcascade trace`: reads what Kafka has of a mail and prints its story."""

import json
from dataclasses import dataclass

from console.failures import CommandFailed
from console.mail_story import story_of
from console.mails import Print
from console.operator import NamedMail
from console.story_shown import story_json, story_lines
from console.trail import KafkaTopics, Topics, TrailReader
from retry_topics.topology import Topology, topology_of
from runtime.clock import Clock
from runtime.garbage import spare_collections
from runtime.kafka.client import client_properties
from runtime.kafka.registry import RegistryErrors, SchemaRegistry
from runtime.settings import Settings
from schemas.codec import EventCodec
from schemas.errors import RegistryUnavailable, UnknownSchema
from schemas.instants import show_instant


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells stories of mails; `since` is the instant before which nothing is looked at."""

    topics: Topics
    topology: Topology
    codec: EventCodec
    since: int | None = None

    def tell(self, mail: NamedMail, *, reveal: bool, as_json: bool, show: Print) -> None:
        """Print the story of a mail.

        Raises:
            CommandFailed: nothing of it is there.
        """
        trail = TrailReader(self.topics, self.topology, self.codec).read(mail)
        if trail.is_empty:
            raise CommandFailed(self._nothing(mail))
        story = story_of(trail, self.topology)
        if as_json:
            show(json.dumps(story_json(trail, story, reveal=reveal), indent=2))
            return
        for line in story_lines(trail, story, reveal=reveal):
            show(line)

    def _nothing(self, mail: NamedMail) -> str:
        where = f"no record of it is in {self.topology.main} and its topics"
        if self.since is not None:
            return f"{mail.text}: {where} since {show_instant(self.since)}; try without --since"
        return (
            f"{mail.text}: {where}: it was never accepted here, or is older than what Kafka keeps "
            "(7 days, dead letters 30); `mailcascade status` may know it for longer"
        )


def teller_of(settings: Settings, clock: Clock, since: int | None) -> Teller:
    """Return who tells stories from the cluster that the settings name."""
    url = settings.schema_registry_url
    errors = RegistryErrors(unavailable=RegistryUnavailable, unknown=UnknownSchema)
    codec = EventCodec(None if url is None else SchemaRegistry(url, errors))
    spare_collections()
    topics = KafkaTopics(client_properties(settings, role="console"), clock, since)
    return Teller(topics, topology_of(settings), codec, since)
