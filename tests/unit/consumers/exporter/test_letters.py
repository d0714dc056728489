"""Open dead letters are counted by group, in whatever order topic and journal are read."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from consumers.exporter.letters import GroupCount, OpenLetters
from retry_topics.dlt.cause import Cause, Group
from retry_topics.dlt.letter import Letter
from retry_topics.policy import DeadReason
from schemas.dlt_journal import Position, entry_key

TOPIC = "topic-id"
GROUPS = [Group(f"f{n}", f"template-{n}", Cause("refused", "", "", "", f"r{n}")) for n in range(4)]
HELD = Group("held", "plain", Cause(DeadReason.HELD, "", "", "", "held"))


def letter(partition: int, offset: int, group: Group) -> Letter:
    return Letter(Position(partition, offset), 5, None, None, group, 0, 0)


def told(letters: OpenLetters, partition: int, offset: int, settled: bool = True) -> None:
    value = b"entry" if settled else None
    letters.told(entry_key(TOPIC, Position(partition, offset)), value)


@given(st.lists(st.integers(0, 3), max_size=30), st.data())
def test_any_interleaving_gives_the_same_count(groups: list[int], data: st.DataObject) -> None:
    """Letters in their order, the journal in its own; what was taken back is open."""
    settled = data.draw(st.lists(st.sampled_from(range(30)), unique=True))
    back = data.draw(st.lists(st.sampled_from(settled), unique=True)) if settled else []
    journal = [(offset, True) for offset in settled] + [(offset, False) for offset in back]
    merged = data.draw(
        st.permutations([True] * len(groups) + [False] * len(journal)), label="whose turn"
    )
    letters = OpenLetters(TOPIC, {0: 0})
    deaths, entries = iter(enumerate(groups)), iter(journal)
    for death in merged:
        if death:
            offset, group = next(deaths)
            letters.died(letter(0, offset, GROUPS[group]))
        else:
            told(letters, 0, *next(entries))
    still = set(range(len(groups))) - (set(settled) - set(back))

    expected = Counter(GROUPS[groups[offset]].fingerprint for offset in still)
    counted = {count.fingerprint: count.letters for count in letters.counts(10)}
    assert counted == {**expected, "other": 0}


def test_the_smaller_groups_are_counted_together() -> None:
    """So that there are never more series than that, and the sum is right."""
    letters = OpenLetters(TOPIC, {0: 0})
    for offset, group in enumerate([0, 1, 1, 2, 2, 2, 3]):
        letters.died(letter(0, offset, GROUPS[group]))

    assert letters.counts(2) == [
        GroupCount("f2", "template-2", 3),
        GroupCount("f1", "template-1", 2),
        GroupCount("other", "", 2),
    ]


def test_what_kafka_deleted_is_not_open() -> None:
    """And what is told of it later changes nothing."""
    letters = OpenLetters(TOPIC, {0: 10, 1: 0})
    for offset in range(10, 15):
        letters.died(letter(0, offset, GROUPS[0]))
    told(letters, 0, 11)
    letters.deleted({0: 13, 1: 0, 7: 5})
    told(letters, 0, 12)
    letters.died(letter(0, 9, GROUPS[0]))

    assert letters.counts(1)[0].letters == 2


def test_held_letters_and_other_topics_are_passed_over() -> None:
    """Who released a held mail is not in the journal; an old topic's offsets mean nothing here."""
    letters = OpenLetters(TOPIC, {0: 0})
    letters.died(letter(0, 0, HELD))
    letters.died(letter(0, 1, GROUPS[0]))
    letters.told(entry_key("another", Position(0, 1)), b"entry")
    letters.told(b"job/x", b"job")

    assert letters.counts(5) == [GroupCount("f0", "template-0", 1), GroupCount("other", "", 0)]
