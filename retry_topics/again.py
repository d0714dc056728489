"""The record of a mail that is sent again from the dead-letter topic, as a person asked for."""

from retry_topics.headers import Journey, write_journey
from retry_topics.topology import Topology
from runtime.kafka.records import OutRecord, Record


def to_main(
    record: Record, journey: Journey, generation: int, topology: Topology, *, keep_history: bool
) -> OutRecord:
    """Return the record on the main topic: same key and value, a fresh timestamp, no attempts.

    Its generation must be higher than any that the mail had, or the workers drop it. The key
    chooses the partition, for there may be more of them since. What is kept is where the record
    first stood and, with `keep_history`, what became of its attempts.
    """
    told = Journey(
        generation=generation,
        first_attempt_at=journey.first_attempt_at,
        origin=journey.origin,
        history=journey.history if keep_history else (),
        omitted=journey.omitted if keep_history else 0,
    )
    partition = record.partition if record.key is None else None
    headers = write_journey(record.headers, told)
    return OutRecord(topology.main, record.key, record.value, headers, partition)
