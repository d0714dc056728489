"""What the catcher does with tagged addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.stack.catcher.script import ACCEPT, RULES, is_scripted, tag_of, verdict_for

LOCAL = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("address", "attempts_before", "refusal"),
    [
        ("ada+greylist@example.com", 0, "451 4.7.1"),
        ("ada+greylist@example.com", 1, None),
        ("ada+bounce@example.com", 0, "550 5.1.1"),
        ("ada+bounce@example.com", 99, "550 5.1.1"),
        ("ada+tempfail3@example.com", 2, "451 4.2.1"),
        ("ada+tempfail3@example.com", 3, None),
        ("ada+tempfail0@example.com", 0, None),
        ("ada+tempfail@example.com", 99, "451 4.2.1"),
        ("ada+news+bounce@example.com", 0, "550 5.1.1"),
        ("ada+BOUNCE@example.com", 0, "550 5.1.1"),
    ],
)
def test_the_last_tag_and_the_attempts_decide(
    address: str, attempts_before: int, refusal: str | None
) -> None:
    """A tag refuses its first attempts, or all of them, with the reply of its rule."""
    verdict = verdict_for(address, attempts_before)

    assert verdict.refusal is None if refusal is None else verdict.refusal is not None
    assert (verdict.refusal or "").startswith(refusal or "")


def test_slow_and_drop_take_the_recipient_and_act_after_the_dot() -> None:
    """Neither refuses the recipient; one delays the reply, the other never gives one."""
    slow, drop = verdict_for("a+slow@b.example", 0), verdict_for("a+drop@b.example", 0)

    assert (slow.refusal, slow.drop, slow.delay_seconds > 0) == (None, False, True)
    assert (drop.refusal, drop.drop) == (None, True)


@given(LOCAL, st.integers(0, 1000))
def test_an_address_without_a_tag_is_always_taken(local: str, attempts: int) -> None:
    """Only a plus sign makes an address special."""
    address = f"{local}@example.com"

    assert tag_of(address) == ""
    assert not is_scripted(address)
    assert verdict_for(address, attempts) is ACCEPT


@pytest.mark.parametrize("tag", ["newsletter", "tempfailN", "tempfail12345", "bounced", ""])
def test_an_unknown_tag_means_nothing(tag: str) -> None:
    """Plus addresses of ordinary people are taken like any other."""
    assert verdict_for(f"ada+{tag}@example.com", 0) is ACCEPT


def test_every_rule_says_what_it_does() -> None:
    """The table that people are shown has one line for each tag."""
    assert len({rule.tag for rule in RULES}) == len(RULES)
    assert all(rule.meaning for rule in RULES)
