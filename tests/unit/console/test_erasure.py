"""What remains of a person after an erasure is told, and when the last of it is gone."""

import json

from console.demands import Demands
from console.erasure import Remains, Report, look, remaining, show_report
from console.failures import ExitCode
from console.operator import Order
from consumers.status.erasure import Erased
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import OutRecord
from schemas.identity import lane_key
from schemas.privacy import address_hash, mask_address
from schemas.suppressions import Suppression, write_suppression
from tests.support.memory_cluster import MemoryCluster

TOPOLOGY = Topology("mails", parse_tiers("1m"), 4)
ADDRESS = "ada@example.com"
KEY = lane_key(ADDRESS)
DAY = 86_400_000


def test_what_the_topics_have_is_told() -> None:
    """Mails, dead letters and demands, of this recipient only; and whether it is suppressed."""
    cluster = MemoryCluster()
    cluster.settings = {TOPOLOGY.dlt: {"retention.ms": str(30 * DAY), "segment.ms": str(DAY)}}
    for topic in (TOPOLOGY.main, TOPOLOGY.main, TOPOLOGY.dlt):
        newest = cluster.add(OutRecord(topic, KEY, b"a mail", ()))
    cluster.add(OutRecord(TOPOLOGY.main, lane_key("eve@example.com"), b"another's", ()))
    Demands(cluster, TOPOLOGY.control, Order("ada", 0)).suppress([ADDRESS])
    lane = cluster.written[0].partition or newest.partition
    said = Suppression(KEY, mask_address(ADDRESS), 0)
    cluster.add(
        OutRecord(TOPOLOGY.suppressions, address_hash(ADDRESS), write_suppression(said), (), lane)
    )

    report = look(cluster, TOPOLOGY, Erased(1, 0), ADDRESS)

    assert {one.topic: one.records for one in report.remains} == {
        TOPOLOGY.main: 2,
        TOPOLOGY.control: 1,
        TOPOLOGY.dlt: 1,
    }
    assert report.remains[-1].until == newest.timestamp_ms + 31 * DAY
    assert report.suppressed
    assert not look(cluster, TOPOLOGY, Erased(0, 0), "eve@example.com").suppressed


def test_a_topic_that_keeps_everything_says_so() -> None:
    """A retention without an end has no last day."""
    records = [MemoryCluster().add(OutRecord("t", KEY, b"", ()))]

    assert remaining("t", KEY, records, {"retention.ms": "-1"}) == Remains("t", 1, None)
    assert remaining("t", b"else", records, {}) == Remains("t", 0, None)


def test_mails_that_are_not_over_make_it_fail() -> None:
    """Whoever asked for it has to come back; everything is told all the same."""
    said: list[str] = []
    report = Report(Erased(3, 1), (Remains("mails.dlt", 2, 1_800_000_000_000),), suppressed=True)

    assert show_report(report, False, said.append) is ExitCode.FAILED
    assert said[0] == "status view: 3 mails removed"
    assert said[1].startswith("status view: 1 mails are not over and stay")
    assert "  mails.dlt: 2 records, 2027-01-15T08:00:00Z" in said
    assert show_report(Report(Erased(0, 0), (), suppressed=False), True, said.append) == 0
    assert json.loads(said[-1]) == {
        "removed": 0,
        "under_way": 0,
        "remains": [],
        "suppressed": False,
    }
