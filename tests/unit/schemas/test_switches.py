"""What operators have paused is read as it was meant, and folds to the last word about each."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Undecodable
from schemas.switches import (
    EVERYTHING,
    Switch,
    Switches,
    SwitchKey,
    SwitchKind,
    read_key,
    read_switch,
    write_key,
    write_switch,
)

AT = 1_800_000_000_000
WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
NAMED = st.builds(SwitchKey, st.sampled_from(list(SwitchKind)[1:]), NAMES)
KEYS = st.just(EVERYTHING) | NAMED
SWITCHES = st.builds(Switch, KEYS, st.integers(0, 2**47), WORDS, WORDS)
#: So few that the same one is turned again and again.
FEW = st.sampled_from([EVERYTHING, *(SwitchKey(kind, "a") for kind in list(SwitchKind)[1:])])
Turn = tuple[SwitchKey, Switch | None]


def turn(key: SwitchKey, since: int | None) -> Turn:
    return key, None if since is None else Switch(key, since)


TURNS = st.lists(st.builds(turn, FEW, st.none() | st.integers(0, 9)), max_size=30)


def folded(turns: Sequence[Turn]) -> Switches:
    """Read the records of these turns."""
    switches = Switches()
    for key, switch in turns:
        value = None if switch is None else write_switch(switch)
        switches = switches.read(write_key(key), value, AT)
    return switches


@given(SWITCHES)
def test_what_is_written_is_read_back(switch: Switch) -> None:
    """Key and value, whatever they hold."""
    key = read_key(write_key(switch.key))
    assert read_switch(key, write_switch(switch)) == switch


@given(
    st.sampled_from([b"", b"template", b"template:", b"all:x", b"mood:bad", b"\xff:x"]) | st.none()
)
def test_a_key_that_names_nothing_is_undecodable(key: bytes | None) -> None:
    """Only everything has no name, and everything has none."""
    with pytest.raises(Undecodable):
        read_key(key)


@given(TURNS)
def test_the_last_record_about_each_thing_counts(turns: list[Turn]) -> None:
    """One without a value takes it back, whatever came before."""
    expected = {key: switch for key, switch in dict(turns).items() if switch is not None}
    switches = folded(turns)
    assert dict(switches.off) == expected
    assert bool(switches) == bool(expected)
    assert [switch.since for switch in switches] == sorted(s.since for s in expected.values())


@given(TURNS)
def test_a_compacted_topic_tells_the_same(turns: list[Turn]) -> None:
    """What compaction leaves is the last record of each key, the ends of pauses or without them."""
    last = dict(turns)
    assert folded(list(last.items())) == folded(turns)
    assert folded([(key, s) for key, s in last.items() if s is not None]) == folded(turns)


def test_a_value_that_cannot_be_read_pauses_all_the_same() -> None:
    """What may be paused is not to be sent; the record's time is since when."""
    (switch,) = Switches().read(b"template:welcome", b"garbage", AT)
    assert (switch.key, switch.since) == (SwitchKey(SwitchKind.TEMPLATE, "welcome"), AT)


@given(FEW, st.sampled_from(["a", "b"]))
def test_a_switch_stops_what_it_names_and_nothing_else(key: SwitchKey, name: str) -> None:
    """Everything stops all; a relay, a tier, a tenant and a template stop their own mails."""
    switches = folded([turn(key, 1)])
    stopped = name == key.what or key == EVERYTHING
    asked = {kind.value: name for kind in SwitchKind if kind is not SwitchKind.ALL}
    assert (switches.stops(**asked) is not None) == stopped
    assert switches.stops(**{k: v for k, v in asked.items() if k != key.kind}) == (
        switches.off[EVERYTHING] if key == EVERYTHING else None
    )


def test_only_tenants_and_templates_put_mails_off() -> None:
    """All others make mails wait where they are; of two the tenant's is told."""
    tenant, template = SwitchKey(SwitchKind.TENANT, "shop"), SwitchKey(SwitchKind.TEMPLATE, "news")
    both = folded([turn(template, 1), turn(tenant, 2), turn(EVERYTHING, 3)])
    assert both.puts_off("news", "shop") == Switch(tenant, 2)
    assert both.puts_off("news", "other") == Switch(template, 1)
    assert both.puts_off("other", "other") is None
    assert both.stops(template="news", tenant="shop") == Switch(EVERYTHING, 3)
    assert both.names(SwitchKind.TENANT) == {"shop"}


def test_people_are_told_what_is_paused_since_when_and_why() -> None:
    """Without a reason the sentence ends before it."""
    assert str(Switch(EVERYTHING, 0)) == (
        "everything is paused by an operator since 1970-01-01T00:00:00Z"
    )
    key = SwitchKey(SwitchKind.TEMPLATE, "welcome")
    assert str(Switch(key, 0, "eve", "a wrong link")) == (
        "template welcome is paused by an operator since 1970-01-01T00:00:00Z: a wrong link"
    )
