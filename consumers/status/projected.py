"""What the view is made from; apart, so that who only names it loads no database."""

from retry_topics.topology import Topology


def projected_topics(topology: Topology) -> tuple[str, ...]:
    """Return the topics that the view is made from."""
    return (
        topology.main,
        topology.ledger,
        topology.control,
        topology.outages,
        topology.switches,
        topology.dlt,
        topology.dlt_journal,
    )
