"""Suppressed recipients: listed from the topic, moved to their lanes, taken from files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.demands import Demands
from console.failures import CommandFailed
from console.operator import Order
from console.suppression_list import from_json, survey, to_json
from console.suppressions import (
    relocate,
    show_suppressions,
    suppress,
    suppress_file,
    unsuppress,
)
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import OutRecord
from schemas.control import ControlAction, ControlCommand, read_command
from schemas.identity import lane_key
from schemas.privacy import address_hash, mask_address
from schemas.suppressions import Suppression, read_suppression, write_suppression
from tests.support.memory_cluster import MemoryCluster

TOPOLOGY = Topology("mails", parse_tiers("1m"), 4)
TOPIC = TOPOLOGY.suppressions
#: 2027-01-15T08:00:00Z
AT = 1_800_000_000_000
ORDER = Order("eve", AT, "asked us to")


class Said(list[str]):
    """What a command showed."""

    def __call__(self, line: str) -> None:
        self.append(line)


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


@pytest.fixture
def demands(cluster: MemoryCluster) -> Demands:
    return Demands(cluster, TOPOLOGY.control, ORDER)


@pytest.fixture
def said() -> Said:
    return Said()


def suppression(address: str, at: int = AT) -> Suppression:
    return Suppression(lane_key(address), mask_address(address), at, "550 5.1.1 no", "w1")


def add(cluster: MemoryCluster, address: str, lane: int | None = None, lifted: bool = False) -> int:
    """Let a worker that owns a lane write about a recipient; without one, its own lane."""
    number = partition_of(lane_key(address), cluster.count) if lane is None else lane
    value = None if lifted else write_suppression(suppression(address))
    cluster.add(OutRecord(TOPIC, address_hash(address), value, (), number))
    return number


def commands(cluster: MemoryCluster) -> list[ControlCommand]:
    return [read_command(record.value) for record in cluster.written]


def masked(cluster: MemoryCluster) -> list[str]:
    found = survey(cluster.records(TOPIC), TOPIC, cluster.count)
    return [one.suppression.masked for one in found.suppressed]


@pytest.mark.parametrize(
    ("ask", "action"),
    [(suppress, ControlAction.SUPPRESS), (unsuppress, ControlAction.UNSUPPRESS)],
)
def test_a_recipient_is_named_in_its_lane(cluster, demands, said, ask, action) -> None:
    """By its normal form, keyed like its mails, with who asks and why."""
    ask(demands, "Ada@EXAMPLE.com", said)

    (record,) = cluster.written
    assert (record.topic, record.key) == ("mails.control", lane_key("Ada@example.com"))
    assert commands(cluster) == [
        ControlCommand(action, AT, address="Ada@example.com", by="eve", reason="asked us to")
    ]
    assert said


@pytest.mark.parametrize("ask", [suppress, unsuppress])
def test_what_is_no_address_is_refused(cluster, demands, said, ask) -> None:
    """As a wrong argument, and nothing is written."""
    with pytest.raises(CommandFailed) as caught:
        ask(demands, "ada", said)

    assert caught.value.code == 2
    assert not cluster.written


def test_the_newest_record_of_a_recipient_counts(cluster, said) -> None:
    """A lifted suppression is not shown; nobody's address is."""
    add(cluster, "ada@example.com")
    add(cluster, "bob@example.com")
    add(cluster, "cid@example.com", lifted=True)
    add(cluster, "ada@example.com", lifted=True)
    add(cluster, "cid@example.com")

    show_suppressions(cluster, TOPOLOGY, False, said)

    assert sorted(said[:2]) == [
        "2027-01-15T08:00:00Z  b***@example.com  550 5.1.1 no (w1)",
        "2027-01-15T08:00:00Z  c***@example.com  550 5.1.1 no (w1)",
    ]
    assert said[2:] == ["2 suppressed recipients"]


def test_a_record_that_cannot_be_read_is_counted(cluster, said) -> None:
    """It does not hide the others."""
    cluster.add(OutRecord(TOPIC, b"x", b"no suppression", (), 0))
    add(cluster, "ada@example.com")

    show_suppressions(cluster, TOPOLOGY, False, said)

    assert said[1:] == ["1 suppressed recipients", "1 records cannot be read"]


def test_a_program_gets_no_address_either(cluster, said) -> None:
    """The hashes are enough to write the same records again."""
    add(cluster, "ada@example.com")

    show_suppressions(cluster, TOPOLOGY, True, said)

    assert json.loads(said[0]) == [
        {
            "address_hash": address_hash("ada@example.com").hex(),
            "lane_key": lane_key("ada@example.com").hex(),
            "masked": "a***@example.com",
            "at": "2027-01-15T08:00:00.000Z",
            "reason": "550 5.1.1 no",
            "by": "w1",
        }
    ]


def test_what_was_printed_can_be_written_again(cluster, demands, said, tmp_path: Path) -> None:
    """Into as many partitions as there are by then, each suppression into its lane."""
    addresses = [f"p{number}@example.com" for number in range(30)]
    for address in addresses:
        add(cluster, address)
    show_suppressions(cluster, TOPOLOGY, True, said)
    file = tmp_path / "suppressions.json"
    file.write_text(said[0])
    grown = MemoryCluster(count=7)

    suppress_file(demands, grown, TOPOLOGY, file, said)

    assert said[-1] == "30 suppressions written"
    assert len(grown.written) == 30
    for record in grown.written:
        kept = read_suppression(record.value)
        assert record.partition == partition_of(kept.lane_key, 7)
        assert record.key in {address_hash(address) for address in addresses}
    assert masked(grown) == masked(cluster)
    assert survey(grown.records(TOPIC), TOPIC, 7).moves == ()


def test_a_file_of_addresses_is_a_command_for_each(cluster, demands, said, tmp_path: Path) -> None:
    """Empty lines and comments do not count, and an address counts once."""
    file = tmp_path / "addresses"
    file.write_text("# from the old system\nada@example.com\n\nbob@example.com\nada@EXAMPLE.com\n")

    suppress_file(demands, cluster, TOPOLOGY, file, said)

    assert [command.address for command in commands(cluster)] == [
        "ada@example.com",
        "bob@example.com",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ada@example.com\nbob\n", ":2: "),
        ("[1]", "Expected `object`"),
        ("[", "Input data was truncated"),
        ('[{"address_hash": "00"}]', "missing required field"),
        (
            '[{"address_hash": "00", "lane_key": "zz", "masked": "", "at": ""}]',
            "suppression 1 cannot be read",
        ),
    ],
)
def test_a_file_with_something_else_in_it_changes_nothing(
    cluster, demands, said, tmp_path: Path, text: str, problem: str
) -> None:
    """The message names the file and the place."""
    file = tmp_path / "file"
    file.write_text(text)

    with pytest.raises(CommandFailed) as caught:
        suppress_file(demands, cluster, TOPOLOGY, file, said)

    assert str(file) in str(caught.value)
    assert problem in str(caught.value)
    assert caught.value.code == 2
    assert not cluster.written


def test_many_problems_are_not_all_told(cluster, demands, said, tmp_path: Path) -> None:
    """The first ten say what is wrong with the file."""
    file = tmp_path / "file"
    file.write_text("nobody\n" * 25)

    with pytest.raises(CommandFailed, match="and 15 more"):
        suppress_file(demands, cluster, TOPOLOGY, file, said)


def test_a_file_that_is_not_there_is_a_wrong_argument(cluster, demands, said) -> None:
    """Not a traceback."""
    with pytest.raises(CommandFailed, match="cannot be read"):
        suppress_file(demands, cluster, TOPOLOGY, Path("/no/such/file"), said)


def test_after_growing_suppressions_move_to_their_lanes(cluster, said) -> None:
    """First all are written where they belong, then taken away where they were."""
    addresses = [f"p{number}@example.com" for number in range(30)]
    for address in addresses:
        add(cluster, address)
    before = masked(cluster)
    cluster.count = 7

    relocate(cluster, TOPOLOGY, said)

    moves = [record for record in cluster.written if record.value is not None]
    removals = [record for record in cluster.written if record.value is None]
    assert cluster.written == moves + removals
    assert 0 < len(moves) == len(removals) < 30
    assert said == [f"{len(moves)} suppressions moved, {len(moves)} records taken away"]
    assert masked(cluster) == before
    relocate(cluster, TOPOLOGY, said)
    assert said[-1] == "nothing to do"


def test_a_suppression_that_stands_in_a_wrong_lane_is_told(cluster, said) -> None:
    """With the command that mends it."""
    lane = partition_of(lane_key("ada@example.com"), 4)
    add(cluster, "ada@example.com", lane=(lane + 1) % 4)

    show_suppressions(cluster, TOPOLOGY, False, said)

    assert "mailcascade suppressions relocate" in said[-1]


def test_a_move_that_ended_half_way_is_finished_by_the_next(cluster, said) -> None:
    """What was written and not yet taken away is taken away, and lifts nothing."""
    address = "ada@example.com"
    lane = partition_of(lane_key(address), 4)
    wrong = add(cluster, address, lane=(lane + 1) % 4)
    add(cluster, address)

    relocate(cluster, TOPOLOGY, said)

    assert cluster.written == [OutRecord(TOPIC, address_hash(address), None, (), wrong)]
    assert masked(cluster) == ["a***@example.com"]


def test_what_was_lifted_in_its_own_lane_is_not_brought_back(cluster, said) -> None:
    """An older suppression that was left in another lane is taken away."""
    address = "ada@example.com"
    lane = partition_of(lane_key(address), 4)
    wrong = add(cluster, address, lane=(lane + 1) % 4)
    add(cluster, address, lifted=True)

    assert masked(cluster) == []
    relocate(cluster, TOPOLOGY, said)

    assert cluster.written == [OutRecord(TOPIC, address_hash(address), None, (), wrong)]
    assert masked(cluster) == []


def test_nothing_is_moved_under_a_worker_s_feet(cluster, demands, said, tmp_path: Path) -> None:
    """It has read its lanes' suppressions and would not see the change."""
    file = tmp_path / "file"
    file.write_text("[]")
    cluster.workers = 2

    with pytest.raises(CommandFailed, match="2 workers are running"):
        relocate(cluster, TOPOLOGY, said)
    with pytest.raises(CommandFailed, match="2 workers are running"):
        suppress_file(demands, cluster, TOPOLOGY, file, said)

    assert not cluster.written


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30),
    st.integers(1, 9),
)
def test_moving_changes_nobody_s_state(history: list[tuple[int, bool]], partitions: int) -> None:
    """Whoever was suppressed when partitions were added is it afterwards, and nobody else."""
    cluster = MemoryCluster(count=2)
    state: dict[str, bool] = {}
    for number, lifted in history:
        address = f"{number}@example.com"
        add(cluster, address, lifted=lifted)
        state[mask_address(address)] = not lifted
    cluster.count = max(2, partitions)

    relocate(cluster, TOPOLOGY, Said())

    assert sorted(masked(cluster)) == sorted(name for name, on in state.items() if on)
    found = survey(cluster.records(TOPIC), TOPIC, cluster.count)
    assert (found.moves, found.removals) == ((), ())


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2))
def test_every_text_survives_the_way_through_a_file(texts: list[str]) -> None:
    """Reasons are other people's words."""
    kept = replace(suppression("ada@example.com"), reason=texts[0], by=texts[1])
    cluster = MemoryCluster()
    cluster.add(OutRecord(TOPIC, address_hash("ada@example.com"), write_suppression(kept), (), 0))

    found = survey(cluster.records(TOPIC), TOPIC, 4).suppressed

    assert from_json(to_json(found)) == list(found)
