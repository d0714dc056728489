"""Dead mails to a file, corrected there, and back: as the file says, each once, or not at all."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retry_topics.dlt import jobs
from retry_topics.dlt.decision import Skip
from retry_topics.dlt.desk import Desk
from retry_topics.dlt.exported import exported
from retry_topics.dlt.imported import read_imported
from retry_topics.dlt.importing import ImportRefused, Row
from retry_topics.dlt.selection import EVERYTHING
from retry_topics.dlt.states import RecordState
from schemas.codec import EventCodec
from schemas.dlt_journal import parse_position
from schemas.mail_states import MailState
from schemas.replay_jobs import Edit, JobState, Pace
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.graveyard import Graveyard, graveyard

Fields = dict[str, Any]


@pytest.fixture
def yard(broker: BrokerAddress, topics: TopicsFactory) -> Graveyard:
    return graveyard(broker.bootstrap, topics(partitions=2))


def silent(_: object) -> None:
    """Nobody listens."""


def command(yard: Graveyard, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "console", "dlt", *arguments],
        env=yard.environ(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def corrected(path: Path, change: Callable[[Fields], None]) -> list[Fields]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["event"] is not None:
            change(row["event"])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def test_a_corrected_set_is_replayed_as_the_file_has_it(yard: Graveyard, tmp_path: Path) -> None:
    """The corrected mails changed, the others byte by byte; what cannot go out has its reason.

    The plan tells the run's numbers, and the dead-letter topic stays as it was.
    """
    graves = yard.bury(["policy"] * 30)
    yard.bury(["policy"], state=MailState.SENT)
    yard.bury(["junk"])
    yard.bury(["greylisted"] * 5)
    before = yard.kafka.read(yard.topology.dlt)
    path = tmp_path / "dead.jsonl"
    with yard.desk() as desk:
        wanted = [
            tally.group.fingerprint
            for tally in desk.groups(EVERYTHING).open
            if tally.group.cause.rule != "greylisted"
        ]
    groups = [word for name in wanted for word in ("--group", name)]
    done = command(yard, "export", *groups, "--out", str(path))
    assert "32 records written" in done.stderr, done
    mended = {str(grave.event.event_id) for grave in graves[:10]}

    def mend(event: Fields) -> None:
        if event["event_id"] in mended:
            event["data"]["confirm_url"] = "https://example.com/mended"

    corrected(path, mend)
    plan = json.loads(command(yard, "import", str(path), "--plan", "--json").stdout)
    done = command(yard, "resume", plan["plan"], "--wait", "1ms", "--json")
    report = json.loads(done.stdout)

    assert (plan["selected"], plan["replayed"]) == (32, 30)
    assert plan["skipped"] == {Skip.SENT: 1, Skip.UNDECODABLE: 1}
    assert report["counts"]["replayed"] == 30
    events = [EventCodec(None).decode(record.value or b"") for record in yard.replayed()]
    urls = {str(event.event_id): event.data["confirm_url"] for event in events}
    assert len(events) == len(urls) == 30
    assert {name for name, url in urls.items() if url.endswith("mended")} == mended
    assert yard.kafka.read(yard.topology.dlt) == before


def test_a_file_with_one_wrong_row_does_nothing_and_tells_every_wrong_line(
    yard: Graveyard, tmp_path: Path
) -> None:
    """With the line's number and the reason, before anything is written."""
    yard.bury(["policy"] * 5)
    path = tmp_path / "dead.jsonl"
    assert command(yard, "export", "--all", "--out", str(path)).returncode == 0
    rows = corrected(path, lambda event: None)
    rows[0]["position"] = "0:99999"
    rows[1]["event"]["event_id"] = rows[2]["event"]["event_id"]
    rows[2]["event"]["data"] = {"confirm_url": "nonsense"}
    rows[3]["event"]["recipient"]["address"] = "other@example.com"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[4]]) + "{\n")

    done = command(yard, "import", str(path))

    assert done.returncode == 2, done
    told = done.stderr.splitlines()
    for number, words in enumerate(
        (
            "there is no such record",
            "event_id was changed",
            "confirm_url",
            "another recipient is another mail",
            "",
            "an earlier row has the same position",
            "truncated",
        ),
        start=1,
    ):
        lines = [line for line in told if f"line {number}:" in line]
        assert bool(lines) == bool(words), (number, told)
        assert all(words in line for line in lines), (number, told)
    assert "nothing was written" in told[-1]
    assert yard.replayed() == []
    with yard.desk() as desk:
        assert desk.jobs() == []


def test_a_job_of_a_file_goes_on_without_the_file(yard: Graveyard) -> None:
    """The rows are in the journal until all are replayed, or the job is called off."""
    yard.bury(["policy"] * 40)
    stop = threading.Event()
    stop.set()
    with yard.desk("one") as desk:
        job = imported(desk, 12, Pace())
        paused = desk.run(desk.begin(job, silent).job, stop, silent, 0)
        assert paused.state is JobState.PAUSED
        other = imported(desk, 20, Pace())
        assert desk.begin(other, silent).plan.skips == {Skip.TAKEN: 12}
    with yard.desk("two") as desk:
        done = desk.run(desk.job(paused.id), threading.Event(), silent, 0)
        assert done.counts[jobs.REPLAYED] == 12
        assert read_imported(desk.archive, paused.id).spans() == {}
    with yard.desk("two", ["one"]) as desk:
        assert read_imported(desk.archive, other.id).spans()
        desk.cancel(desk.job(other.id))
        assert not read_imported(desk.archive, other.id).spans()
    locales = [EventCodec(None).decode(record.value or b"").locale for record in yard.replayed()]
    assert locales == ["de"] * 12


def test_rows_of_another_topic_are_refused(yard: Graveyard) -> None:
    """Positions repeat from topic to topic; the record's bytes do not."""
    yard.bury(["junk"])
    with yard.desk() as desk:
        (found,) = desk.letters(EVERYTHING, 1)
        job = desk.order(EVERYTHING, Edit(), Pace(), "")
        with pytest.raises(ImportRefused, match="another value"):
            desk.take_rows(job, [Row(1, found.letter.position, None, b"else")])
        with pytest.raises(ImportRefused, match="no rows"):
            desk.take_rows(job, [])
        row = Row(1, found.letter.position, None, None)
        plan = desk.plan(desk.take_rows(job, [row]), silent)
        assert plan.skips == {Skip.UNDECODABLE: 1}


def test_the_undecodable_are_exported_whole(yard: Graveyard, tmp_path: Path) -> None:
    """And stay what they are: an import does not mend them."""
    yard.bury(["junk"])
    path = tmp_path / "dead.avro"
    assert command(yard, "export", "--all", "--out", str(path)).returncode == 0
    done = command(yard, "import", str(path), "--json", "--wait", "1ms")

    counts = json.loads(done.stdout)["counts"]
    assert (counts["selected"], counts["skip:undecodable"]) == (1, 1)
    with yard.desk() as desk:
        (found,) = desk.letters(EVERYTHING, 1)
        assert found.standing.state is RecordState.OPEN


def imported(desk: Desk, count: int, pace: Pace) -> Any:
    """Return a job that replays the first so many records, in another language."""
    rows = []
    for number, found in enumerate(list(desk.each(EVERYTHING))[:count], start=1):
        row = exported(found, desk.archive.codec)
        fields = {**row["event"], "locale": "de"}
        rows.append(Row(number, parse_position(row["position"]), fields, row["value"]))
    return desk.take_rows(desk.order(EVERYTHING, Edit(), pace, "mended"), rows)
