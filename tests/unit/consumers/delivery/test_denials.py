"""One recipient that is not relayed to is a mail's failure; all of them are the relay's."""

from consumers.delivery.denials import AGAIN_SECONDS, Denials


def test_a_relay_that_has_taken_nothing_yet_is_to_blame_at_once() -> None:
    """A worker that starts with a wrong setting kills no mail."""
    assert Denials().denied("a@x", 0.0)


def test_one_recipient_among_others_is_its_own_matter() -> None:
    """However often it is tried, as long as the relay takes other mails."""
    denials = Denials()
    for number in range(10):
        denials.accepted()
        assert not denials.denied("a@x", number * 100.0)


def test_two_recipients_in_a_row_are_the_relays_fault() -> None:
    """And whoever comes after them, until it takes a mail again."""
    denials = Denials()
    denials.accepted()
    assert [denials.denied(f"{name}@x", 0.0) for name in "abcd"] == [False, True, True, True]
    denials.accepted()
    assert not denials.denied("e@x", 0.0)


def test_one_recipient_in_a_burst_counts_once_and_later_again() -> None:
    """Where little is sent, the same mail that comes again is all there is to go by."""
    denials = Denials()
    denials.accepted()
    assert not any(denials.denied("a@x", 0.0) for _ in range(10))
    assert not denials.denied("a@x", AGAIN_SECONDS)
    assert denials.denied("a@x", 2 * AGAIN_SECONDS)
