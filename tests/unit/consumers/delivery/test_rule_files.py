"""A file of rules is read whole, or refused with everything that is wrong with it and where."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.rule import Rule, Status, StatusRange
from consumers.delivery.rule_files import BrokenRules, read_rules
from retry_topics.failure import FailureClass, Phase, Scope

RULE = '[[rule]]\nname = "full"\nscope = "recipient"\nsoft = "transient"\ncontains = ["full"]\n'


def _file(directory: Path, text: str) -> Path:
    path = directory / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_rule_is_read(tmp_path: Path) -> None:
    """With all its keys; capitals do not matter in what is looked for."""
    (rule,) = read_rules(
        _file(
            tmp_path,
            """
            [[rule]]
            name = "our-relay-limit"
            scope = "recipient"
            phases = ["rcpt", "body"]
            soft = "transient"
            hard = "permanent"
            codes = ["450", "550"]
            enhanced = ["x.7.1", "5.7.600-649", "x.6.*"]
            text = ['Limit \\d+\\S']
            contains = ["Come back (Later)"]
            retry_after = "1h"
            bad_address = true
            """,
        )
    )

    assert (rule.name, rule.scope) == ("our-relay-limit", Scope.RECIPIENT)
    assert rule.phases == {Phase.RCPT, Phase.DATA, Phase.DOT}
    assert (rule.soft, rule.hard) == (FailureClass.TRANSIENT, FailureClass.PERMANENT)
    assert (rule.retry_after_ms, rule.bad_address) == (3_600_000, True)
    assert rule.matches(550, Status(5, 7, 1), "a limit 12x was reached")
    assert rule.matches(450, Status(4, 6, 44), "please come back (later), thanks")
    assert not rule.matches(551, Status(5, 7, 1), "a limit 12x was reached")
    assert not rule.matches(550, Status(5, 7, 2), "a limit 12x was reached")
    assert not rule.matches(550, None, "a limit 12x was reached")
    assert not rule.matches(550, Status(5, 7, 1), "a limit 1 was reached")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ('name = "Full"', "name: must be lower-case words"),
        ("name = 5", "name: must be lower-case words"),
        (
            'scope = "world"',
            "scope: 'world' must be one of recipient, message, sender, domain, endpoint",
        ),
        ('soft = "soon"', "soft: 'soon' must be one of transient, permanent, config, throttle"),
        ('soft = "permanent"', "soft: a 4yz reply is never permanent"),
        ('scope = "sender"\nhard = "permanent"', "hard: permanent is for the mail's own failures"),
        ('hard = "config"', "scope: config is for the sender's or endpoint's failures"),
        ('phases = ["begin"]', "phases: 'begin' must be one of connect, banner, ehlo, starttls"),
        ('phases = "rcpt"', "phases: must be a list with something in it"),
        ('phases = ["session"]', "scope: before a transaction only endpoint fits"),
        ('phases = ["auth"]', "scope: at login only endpoint and sender fit"),
        ('codes = ["250"]', "codes: '250' must be a reply code from 400 to 599"),
        ("codes = []", "codes: must be a list with something in it"),
        ('enhanced = ["5.7"]', "enhanced: '5.7' must be a status such as 5.7.1"),
        ('enhanced = ["5.7.9-1"]', "enhanced: '5.7.9-1' must be a range that ascends"),
        ("text = ['(']", "text: '(' must be a regular expression: missing )"),
        ("text = ['a*']", "text: 'a*' must be a regular expression that does not match an empty"),
        ("text = ['(a+)+b']", "text: '(a+)+b' must be a regular expression without a repetition"),
        ("text = ['a', '(?i)b']", "text: cannot be joined by |"),
        ('contains = [" "]', "contains: ' ' must be words"),
        ('retry_after = "soon"', "retry_after: 'soon' must be a duration"),
        ('bad_address = "yes"', "bad_address: 'yes' must be true or false"),
        ("bad_address = true", 'bad_address: needs scope = "recipient" and hard = "permanent"'),
        ("colour = 1", "colour: there is no such key; there are name, scope, soft"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(tmp_path: Path, change: str, problem: str) -> None:
    """The file, the line, the rule, the key, the value and what is allowed."""
    kept = [line for line in RULE.splitlines() if line.split(" =")[0] not in change]
    path = _file(tmp_path, RULE + "\n" + "\n".join(kept) + "\n" + change + "\n")

    with pytest.raises(BrokenRules) as caught:
        read_rules(path)

    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{path}:7: rule 2")
    assert problem in caught.value.problems[0]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """Whoever mends a file mends it once."""
    path = _file(tmp_path, 'rules = 1\n[[rule]]\nname = "a"\n[[rule]]\nscope = "x"\nsoft = "y"\n')

    with pytest.raises(BrokenRules) as caught:
        read_rules(path)

    assert caught.value.problems == (
        f"{path}: rules: there is no such key; there are rule, aliases, hosts, refuses_late",
        f"{path}:2: rule 1 (a): scope: is missing",
        f"{path}:2: rule 1 (a): says neither what a 4yz reply is (soft) nor a 5yz one (hard)",
        f"{path}:2: rule 1 (a): would apply to every reply: codes, enhanced, text, contains?",
        f"{path}:4: rule 2: name: must be lower-case words joined by hyphens, such as daily-limit",
        f"{path}:4: rule 2: scope: 'x' must be one of recipient, message, sender, domain, endpoint",
        f"{path}:4: rule 2: soft: 'y' must be one of transient, permanent, config, throttle",
        f"{path}:4: rule 2: would apply to every reply: codes, enhanced, text, contains?",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[rule]", "cannot be read"),
        ("rule = 1", r"rules are written as \[\[rule\]\]"),
        ("rule = [1]", r"rules are written as \[\[rule\]\]"),
    ],
)
def test_what_holds_no_rules_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """Text that is no TOML, and TOML of another kind."""
    with pytest.raises(BrokenRules, match=problem):
        read_rules(_file(tmp_path, text))


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """There is no third way."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    rules, problems = _read(path)

    assert not (rules and problems)


def _read(path: Path) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    try:
        return read_rules(path), ()
    except BrokenRules as error:
        return (), error.problems


@given(kind=st.sampled_from([4, 5]), subject=st.integers(0, 9), detail=st.integers(0, 999))
def test_a_range_covers_what_is_between_its_ends(kind: int, subject: int, detail: int) -> None:
    """Both ends belong to it; `x` is both kinds."""
    status = Status.of(f"{kind}.{subject}.{detail}")

    assert StatusRange(None, subject, detail, detail).covers(status)
    assert StatusRange(kind, subject, 0, 999).covers(status)
    assert not StatusRange(9 - kind, subject, 0, 999).covers(status)
    assert not StatusRange(None, subject, detail + 1, 1000).covers(status)
