"""`mailcascade relay classify` answers people in sentences and programs in lines."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.replies import ReplyDesk
from consumers.delivery.rulebook import RuleBook
from retry_topics.failure import Phase
from tests.support.replies import SAMPLE, sampled_replies

CLASSIFY = [sys.executable, "-m", "console", "relay", "classify"]


@cache
def _desk() -> ReplyDesk:
    return ReplyDesk(RuleBook.load())


@pytest.fixture
def desk() -> ReplyDesk:
    return _desk()


def _answers(desk: ReplyDesk, *lines: bytes) -> tuple[int, list[dict[str, object]]]:
    said: list[str] = []
    code = desk.answer_lines(lines, said.append)
    return code, [json.loads(line) for line in said]


def test_a_person_gets_a_reply_explained(desk: ReplyDesk) -> None:
    """Whose failure, of what kind, what is done, when again, by which rule of which layer."""
    said: list[str] = []

    desk.explain(
        "550-5.4.5 Daily user sending\n550 5.4.5 quota exceeded", Phase.RCPT, None, said.append
    )
    desk.explain("450 Greylisted, try again in 5 minutes", Phase.RCPT, None, said.append)

    assert said[:7] == [
        "550-5.4.5 Daily user sending 550 5.4.5 quota exceeded",
        "  class     throttle: goes when less is sent, or later",
        "  scope     sender: it hits all mails of our sender, account or address",
        "  action    throttle: sending waits, then goes on more slowly; no attempt is used up",
        "  delay     none is asked for",
        "  rule      send-quota",
        "  found in  words in general",
    ]
    assert "  delay     300 s" in said


def test_a_provider_s_profile_is_asked_first(desk: ReplyDesk) -> None:
    """By any name of the provider; one that nobody knows is told, and the general rules count."""
    said: list[str] = []

    desk.explain("550 RP:ORQ", Phase.MAIL, "163", said.append)
    desk.explain("550 RP:ORQ", Phase.MAIL, "pigeon", said.append)

    assert "  found in  profile netease" in said
    assert said[7].startswith("There is no profile 'pigeon', so the general rules count.")
    assert said[-1] == "  found in  reply codes"


def test_what_is_no_failure_is_said_to_be_none(desk: ReplyDesk) -> None:
    """Any 2yz reply is success, and 354 is what DATA asks for."""
    lines = [
        b'{"phase": "dot", "reply": "254 4.7.1 queued"}',
        b'{"phase": "data", "reply": "354 go on"}',
        b'{"phase": "data", "reply": "250 out of step"}',
        b'{"phase": "connect", "reply": "Connection refused"}',
    ]

    code, answers = _answers(desk, *lines)

    assert code == 0
    assert [answer["class"] for answer in answers] == ["ok", "ok", "transient", "transient"]
    assert answers[0] == {
        "class": "ok",
        "scope": None,
        "action": "none",
        "retry_after_s": None,
        "rule": "accepted",
    }
    assert [answer["rule"] for answer in answers[2:]] == ["unexpected-reply", "garbled-reply"]


def test_a_bad_line_has_its_number_and_the_others_are_answered(desk: ReplyDesk) -> None:
    """In order; the exit code tells that there was one. Blank lines are none."""
    good = b'{"phase": "RCPT", "reply": "550 5.1.1 no such user", "more": 1}'
    bad = [
        b"nonsense",
        b"[1]",
        b"[" * 100_000,
        b'{"reply": "550 no"}',
        b'{"phase": "later", "reply": "550 no"}',
        b'{"phase": "decode", "reply": "550 no"}',
        b'{"phase": "rcpt"}',
        b'{"phase": "rcpt", "reply": " "}',
        b'{"phase": "rcpt", "reply": 550}',
        b'{"phase": "rcpt", "reply": "550 no", "provider": 1}',
        b"\xff\xfe",
    ]

    code, answers = _answers(desk, good, b"\n", *bad, good)

    assert code == 1
    assert answers[0] == answers[-1]
    assert answers[0]["action"] == "suppress"
    assert [answer["line"] for answer in answers[1:-1]] == list(range(3, 3 + len(bad)))
    assert all(answer["error"] for answer in answers[1:-1])


@given(line=st.binary(max_size=200))
def test_any_line_gets_one_line(line: bytes) -> None:
    """Whatever comes in, one answer or one complaint goes out."""
    _, answers = _answers(_desk(), line)

    assert len(answers) == (1 if line.strip() else 0)


@given(reply=st.text(min_size=1, max_size=200), phase=st.sampled_from(["banner", "rcpt", "dot"]))
def test_any_reply_is_answered(reply: str, phase: str) -> None:
    """With the five words, and never with an error."""
    line = json.dumps({"phase": phase, "reply": reply}).encode()

    _, (answer,) = _answers(_desk(), line)

    wanted = {"class", "scope", "action", "retry_after_s", "rule"} if reply.strip() else {"line"}
    assert wanted <= answer.keys()


@pytest.mark.parametrize("from_file", [True, False], ids=["file", "stdin"])
def test_the_sample_is_answered_right_by_the_command(from_file: bool) -> None:
    """All of it, in order, whether it comes from a file or through a pipe."""
    done = subprocess.run(
        [*CLASSIFY, "--jsonl", str(SAMPLE) if from_file else "-"],
        input=SAMPLE.read_bytes(),
        env={"HOME": "/nowhere", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
        check=True,
    )

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for reply, answer in zip(sampled_replies(), answers, strict=True):
        assert answer["class"] in reply.classes, reply
        assert answer["scope"] in reply.scopes, reply
        assert reply.actions is None or answer["action"] in reply.actions, reply
        assert answer["retry_after_s"] == reply.retry_after_s, reply
        assert answer["rule"]


def test_the_operator_s_rules_count_for_the_command(tmp_path: Path) -> None:
    """So that rules can be tried before a worker has them; wrong ones are refused."""
    rules = tmp_path / "rules.toml"
    command = [*CLASSIFY, "550 Moo", "--phase", "mail"]
    environ = {"HOME": "/nowhere", "MAILCASCADE_RELAY_RULES_FILE": str(rules)}
    done = []
    for scope in ("sender", "cow"):
        rules.write_text(
            f'[[rule]]\nname = "moo"\nscope = "{scope}"\nhard = "throttle"\ncontains = ["moo"]\n'
        )
        done.append(
            subprocess.run(
                command, env=environ, capture_output=True, text=True, timeout=60, check=False
            )
        )

    assert [one.returncode for one in done] == [0, 2]
    assert "found in  the operator's rules" in done[0].stdout
    assert f"{rules}:1: rule 1 (moo): scope: 'cow' must be one of" in done[1].stderr
