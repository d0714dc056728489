"""Commands, suppressions, and what stands for addresses in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import ControlAction, ControlCommand, read_command, write_command
from schemas.errors import Undecodable
from schemas.framing import framing
from schemas.privacy import address_hash, keyed_hash, mask_address
from schemas.suppressions import Suppression, read_suppression, write_suppression

WORDS = st.text(st.characters(codec="utf-8"), max_size=60)
INSTANTS = st.integers(0, 2**53)


@given(st.sampled_from(ControlAction), INSTANTS, WORDS, WORDS, WORDS)
def test_a_command_survives_the_way_there_and_back(
    action: ControlAction, at: int, tenant: str, by: str, reason: str
) -> None:
    """Whoever asks and whatever for."""
    command = ControlCommand(action, at, "an-event", "a@example.com", tenant, by, reason)

    assert read_command(write_command(command)) == command


@pytest.mark.parametrize("action", ControlAction)
def test_a_command_that_does_not_say_whom_it_means_is_refused(action: ControlAction) -> None:
    """A cancel needs an event, a suppression an address."""
    with pytest.raises(Undecodable, match="whom"):
        read_command(write_command(ControlCommand(action, 0)))


def test_an_action_of_a_later_release_is_refused() -> None:
    """It reads as unknown, which is nothing to obey."""
    with pytest.raises(Undecodable):
        read_command(framing("control_command").write({"action": "unknown", "at": 0}))


@given(st.binary(min_size=4, max_size=4), WORDS, INSTANTS, WORDS, WORDS)
def test_a_suppression_survives_the_way_there_and_back(
    lane_key: bytes, masked: str, at: int, reason: str, by: str
) -> None:
    """All of its fields."""
    suppression = Suppression(lane_key, masked, at, reason, by)

    assert read_suppression(write_suppression(suppression)) == suppression


@given(st.binary(max_size=100))
def test_garbage_is_refused_in_words(garbage: bytes) -> None:
    """Nothing but Undecodable comes of bytes that are something else."""
    for kind, read in (("control_command", read_command), ("suppression", read_suppression)):
        for value in (garbage, framing(kind).header + garbage):
            try:
                read(value)
            except Undecodable:
                pass
    with pytest.raises(Undecodable):
        read_command(None)


def test_a_masked_address_shows_its_domain_and_one_letter() -> None:
    """Enough for a person to recognise, too little to write to."""
    assert mask_address("ada.lovelace@example.com") == "a***@example.com"


def test_hashes_do_not_mind_case_and_depend_on_the_key() -> None:
    """One recipient has one hash; another key gives another."""
    assert address_hash("Ada@example.com") == address_hash("ada@example.com")
    assert address_hash("ada@example.com") != address_hash("bob@example.com")
    assert keyed_hash(b"k", "Ada@example.com") == keyed_hash(b"k", "ada@example.com")
    assert keyed_hash(b"k", "ada@example.com") != keyed_hash(b"l", "ada@example.com")
