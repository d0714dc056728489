"""What an operator's commands write to the switches' topic."""

from retry_topics.topology import Topology
from runtime.kafka.records import OutRecord
from schemas.switches import Switch, SwitchKey, write_key, write_switch


def switch_record(topology: Topology, key: SwitchKey, since: int | None) -> OutRecord:
    """Return the record that pauses something since an instant; None: that resumes it."""
    value = None if since is None else write_switch(Switch(key, since, "eve", "a test"))
    return OutRecord(topology.switches, write_key(key), value, ())
