"""Rules are asked in layers: the operator's, the provider's, words, status codes, reply codes."""

import re
from pathlib import Path

import pytest

from consumers.delivery.action import action_of
from consumers.delivery.outcome import Classifier, Explained
from consumers.delivery.reply import Reply
from consumers.delivery.rule import Rule
from consumers.delivery.rule_files import BrokenRules
from consumers.delivery.rulebook import DIRECTORY, RuleBook, UnknownProfile
from retry_topics.failure import FailureClass, Phase, Scope

OPERATIONS = Path(__file__).parents[4] / "docs" / "operations.md"
OPERATOR = """
[[rule]]
name = "our-quota"
scope = "sender"
soft = "throttle"
hard = "throttle"
contains = ["RP:ORQ"]
retry_after = "2h"
"""


def _explain(
    reply: str, *, operator: Path | None = None, profile: str | None = None, phase: str = "mail"
) -> Explained:
    classifier = Classifier(RuleBook.load(operator))
    return classifier.explain(Reply.parse(reply), Phase(phase), profile)


@pytest.fixture
def operator(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(OPERATOR)
    return path


def test_each_layer_decides_where_those_before_it_do_not(operator: Path) -> None:
    """One reply, asked with ever fewer layers that know it."""
    reply = "550 RP:ORQ"

    by_operator = _explain(reply, operator=operator, profile="netease")
    by_profile = _explain(reply, profile="netease")
    by_code = _explain(reply)

    assert (by_operator.layer, by_operator.failure.rule) == ("the operator's rules", "our-quota")
    assert (by_profile.layer, by_profile.failure.rule) == ("profile netease", "netease-throttled")
    assert (by_code.layer, by_code.failure.rule) == ("reply codes", "mail-refused")


@pytest.mark.parametrize(
    ("reply", "layer", "rule"),
    [
        ("550 5.1.1 there is no such user", "words in general", "no-such-recipient"),
        ("550 5.1.1 nope", "status codes (RFC 3463)", "no-such-recipient"),
        ("550 nope", "reply codes", "recipient-refused"),
        ("250 fine", "built in: the relay is out of step", "unexpected-reply"),
    ],
)
def test_words_come_before_status_codes_and_these_before_reply_codes(
    reply: str, layer: str, rule: str
) -> None:
    """The more is said, the more is understood."""
    explained = _explain(reply, phase="rcpt")

    assert (explained.layer, explained.failure.rule) == (layer, rule)


def test_a_rule_s_delay_counts_where_the_reply_names_none(operator: Path) -> None:
    """The relay knows better than the rule when it wants to be asked again."""
    silent = _explain("550 RP:ORQ", operator=operator).failure
    spoken = _explain("450 RP:ORQ, try again in 5 minutes", operator=operator).failure

    assert silent.retry_after_ms == 7_200_000
    assert spoken.retry_after_ms == 300_000


def test_the_operator_may_decide_about_the_session(tmp_path: Path) -> None:
    """Every phase can be named, also those before the transaction."""
    path = tmp_path / "rules.toml"
    path.write_text(
        '[[rule]]\nname = "moving"\nscope = "endpoint"\nphases = ["banner"]\n'
        'hard = "transient"\ncontains = ["we are moving house"]\n'
    )

    failure = _explain("554 We are moving house", operator=path, phase="banner").failure

    assert (failure.rule, failure.kind) == ("moving", FailureClass.TRANSIENT)


def test_the_documented_rule_can_be_used(tmp_path: Path) -> None:
    """Whoever copies the example has a rule that applies to what it is said to be for."""
    (example,) = re.findall(r"^```toml\n(.*?)^```$", OPERATIONS.read_text(), re.M | re.S)
    path = tmp_path / "rules.toml"
    path.write_text(example)

    failure = _explain("550 5.7.1 Your mails are USED UP today", operator=path).failure

    assert (failure.rule, failure.retry_after_ms) == ("our-relay-quota", 3_600_000)


def test_a_wrong_file_of_the_operator_is_refused(tmp_path: Path) -> None:
    """Before any mail is sent by it."""
    path = tmp_path / "rules.toml"
    path.write_text("[[rule]]\n")

    with pytest.raises(BrokenRules, match="rule 1"):
        RuleBook.load(path)


def test_a_profile_has_several_names() -> None:
    """People call providers by many names, in any case."""
    book = RuleBook.load()

    assert book.profile("Exchange") == book.profile("office365") == "outlook"
    assert book.profile("ses") == book.profile("AmazonSES") == "ses"
    with pytest.raises(UnknownProfile, match=r"no profile 'pigeon'; there are .*gmail"):
        book.profile("pigeon")


@pytest.mark.parametrize(
    ("host", "named", "layer"),
    [
        ("email-smtp.eu-west-1.amazonaws.com", None, "profile ses"),
        ("SMTP.Office365.com", None, "profile outlook"),
        ("amazonaws.com.example.org", None, None),
        ("127.0.0.1", None, None),
        ("relay.example.org", "gmail", "profile gmail"),
        ("smtp.gmail.com", "SES", "profile ses"),
    ],
)
def test_a_relay_s_profile_is_the_named_one_or_its_host_s(
    host: str, named: str | None, layer: str | None
) -> None:
    """A relay in a provider's domain speaks the provider's words, unless somebody says more."""
    classify = Classifier(RuleBook.load()).of_relay(host, named)
    said = {
        "profile ses": "554 Message rejected: is not verified",
        "profile outlook": "550 5.7.60 no",
        "profile gmail": "550 Mail Sending denied",
    }

    for profile, reply in said.items():
        rule = classify(Reply.parse(reply), Phase.DOT).rule
        assert rule.startswith(profile.removeprefix("profile ") + "-") is (profile == layer)


def test_a_relay_cannot_have_a_profile_that_there_is_not() -> None:
    """A misspelt name is told when the worker starts."""
    with pytest.raises(UnknownProfile):
        Classifier(RuleBook.load()).of_relay("relay.example.org", "pigeon")


def test_no_two_profiles_have_one_name() -> None:
    """A name means one profile; each file of the directory is one."""
    book = RuleBook.load()
    files = {path.stem for path in (DIRECTORY / "providers").glob("*.toml")}

    assert set(book.names.values()) == set(book.hosts.values()) == files
    assert all(book.names[name] == name for name in files)
    assert {
        "gmail", "outlook", "ses", "sendgrid", "mailgun", "yahoo", "qq", "icloud",
    } <= files  # fmt: skip


def _all_rules() -> list[Rule]:
    book = RuleBook.load()
    layers = [*book.layers(None)]
    for profile in set(book.names.values()):
        layers += book.layers(profile)[:1]
    return [rule for layer in layers for rule in layer.rules]


def test_one_name_stands_for_one_scope() -> None:
    """Whoever reads a rule's name in status or metrics knows whose failure it was."""
    scopes: dict[str, Scope] = {}
    for rule in _all_rules():
        assert scopes.setdefault(rule.name, rule.scope) is rule.scope, rule.name


def test_the_rules_of_a_profile_have_its_name() -> None:
    """So that a name tells which layer it is from."""
    book = RuleBook.load()
    for profile in set(book.names.values()):
        for rule in book.layers(profile)[0].rules:
            assert rule.name.startswith(f"{profile}-"), rule.name


def test_what_a_person_must_mend_uses_up_no_attempt() -> None:
    """And what waiting mends is not given up: no rule leads to an action that is nonsense."""
    for rule in _all_rules():
        for kind in filter(None, (rule.soft, rule.hard)):
            if kind is FailureClass.CONFIG:
                assert rule.scope in (Scope.SENDER, Scope.ENDPOINT), rule.name
            if kind is FailureClass.PERMANENT:
                assert rule.scope in (Scope.RECIPIENT, Scope.MESSAGE), rule.name


def test_actions_can_be_told_of_every_known_failure() -> None:
    """From each layer one."""
    reply = "450 4.2.1 The user you are trying to contact is receiving mail too quickly"
    failure = _explain(reply, phase="rcpt", profile="gmail").failure

    assert action_of(failure) == "retry_tier"
