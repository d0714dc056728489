"""`mailcascade dlt` as a person uses it: what each command prints, and how it ends."""

import json
import os
import re
import signal
import threading
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from console.failures import CommandFailed
from schemas.mail_states import MailState
from schemas.privacy import mask_address
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.graveyard import Graveyard, graveyard
from tests.support.processes import Command
from tests.support.wait import wait_until

Run = Callable[..., str]


@pytest.fixture
def yard(broker: BrokerAddress, topics: TopicsFactory) -> Graveyard:
    return graveyard(broker.bootstrap, topics(partitions=2))


@pytest.fixture
def run(yard: Graveyard, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that succeeds, and return what it prints."""
    for name in [name for name in os.environ if name.startswith("MAILCASCADE")]:
        monkeypatch.delenv(name)
    for name, value in yard.environ().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> str:
        done: Result = CliRunner().invoke(app, ["dlt", *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_from_groups_to_a_report(yard: Graveyard, run: Run) -> None:
    """Counted, planned, replayed and settled, with words for each step."""
    graves = yard.bury(["policy"] * 3 + ["junk"])
    groups = run("groups")
    assert groups == run()
    assert "open: 4 records in 2 groups" in groups
    assert "signup-confirmation: refused: recipient permanent at rcpt 550 5.7.1 (policy)" in groups
    assert "settled: 0 records" in groups

    planned = run("replay", "--all", "--plan", "--rate", "10/s")
    assert "3 of 4 selected records would be replayed" in planned
    assert "skipped 1: undecodable" in planned
    assert "some 0:00:00 at 10 a second" in planned
    assert planned.count("such as") == 3
    job = planned.split("mailcascade dlt resume ")[1].strip()
    assert f"{job}" in run("jobs")

    report = run("resume", job[:6], "--wait", "0")
    assert "replayed   3" in report
    assert "3 outcomes are to come" in report
    assert report.splitlines()[1:] == run("job", job).splitlines()[1:]
    assert json.loads(run("job", job, "--json"))["counts"]["chosen"] == 3

    yard.kafka.write([yard.ledger(grave.event, MailState.SENT, 1) for grave in graves[:3]])
    assert "sent       3" in run("job", job)
    assert "finished   replayed 3 of 3, sent 3" in run("settle")
    assert run("settle") == ""

    junk = json.loads(run("list", "--state", "open", "--json"))[0]["position"]
    assert "ff 6a 75 6e 6b" in run("show", junk)
    refused = json.loads(run("list", "--template", "signup-confirmation", "--json"))[0]["position"]
    masked, plain = (re.search(r"<(.+@.+)>", run("show", refused, *o)) for o in ((), ("--reveal",)))
    assert masked is not None
    assert plain is not None
    assert masked[1] == mask_address(plain[1])
    assert run("discard", junk, "--reason", "garbage") == "1 records discarded\n"
    assert "open: 0 records" in run("groups")
    assert "4 records" in run("list")


def test_ctrl_c_pauses_a_replay_and_resume_ends_it(yard: Graveyard, run: Run) -> None:
    """What is left stays the job's in between; each mail goes out once."""
    graves = yard.bury(["policy"] * 200)
    with Command("dlt", "replay", "--all", "--rate", "80/s", environ=yard.environ()) as command:
        command.wait_for("replays 200 of 200 selected")
        wait_until(yard.replayed, 20)
        command.signal(signal.SIGINT)
        assert command.exit_code() == 0
        told = command.output
    job = told.split("mailcascade dlt resume ")[1].split()[0]
    assert "paused: paused by a person" in told
    left = 200 - len(yard.replayed())
    assert 0 < left < 200
    assert f"{left} records" in run("list", "--state", "taken", "--limit", "200")
    assert "replayed   200" in run("resume", job, "--wait", "0")
    assert yard.replayed_ids() == dict.fromkeys((grave.event.event_id for grave in graves), 1)


def test_a_changed_mail_is_shown_before_it_goes_out(yard: Graveyard, run: Run) -> None:
    """What changes is told by name; values stay hidden."""
    yard.bury(["policy"])
    planned = run("replay", "--all", "--plan", "--set-data", "confirm_url=https://e.org/secret")

    assert "data.confirm_url changes" in planned
    assert "secret" not in planned
    refused = run("replay", "--all", "--plan", "--set-data", "confirm_url=nonsense")
    assert "skipped 1: the changed mail is not valid" in refused


def test_a_plan_that_is_called_off_does_not_run(yard: Graveyard, run: Run) -> None:
    """The command says why."""
    yard.bury(["policy"])
    planned = run("replay", "--all", "--plan")
    job = planned.split("mailcascade dlt resume ")[1].strip()
    assert run("cancel", job).startswith(f"{job}: cancelled")

    with pytest.raises(CommandFailed, match="cancelled"):
        run("resume", job)
    assert yard.replayed() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["replay"], "--all"),
        (["show", "9:9"], "no such record"),
        (["job", "nope"], "no job has an id"),
        (["replay", "--all", "--rate", "soon"], "200/s"),
        (["replay", "--all", "--as-new"], "sent once more"),
    ],
)
def test_wrong_words_and_second_thoughts_do_nothing(
    yard: Graveyard, run: Run, arguments: list[str], told: str
) -> None:
    """Each is told what is wrong."""
    yard.bury(["policy"])
    with pytest.raises(Exception, match=told):
        run(*arguments)
    assert yard.replayed() == []


def test_what_dies_is_followed(yard: Graveyard) -> None:
    """From the moment at which somebody looks."""
    yard.bury(["policy"])
    with yard.desk() as desk:
        following = desk.archive.follow()
        threading.Timer(1.0, lambda: yard.bury(["greylisted"])).start()
        found = next(following)
        following.close()

    assert found.letter.cause.rule == "greylisted"
