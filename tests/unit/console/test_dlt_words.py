"""The options of `mailcascade dlt`: what they mean, and what is said about wrong ones."""

from pathlib import Path

import pytest

from console.dlt_words import (
    DEFAULT_STOP_AT,
    Words,
    data_of,
    duration_of,
    meant,
    pace_of,
    rate_of,
    selection_of,
    share_of,
    source_of,
    wait_of,
)
from console.dlt_work import only
from console.failures import CommandFailed
from retry_topics.dlt.operators import is_gone, process_name
from retry_topics.dlt.selection import EVERYTHING, recipient_of
from schemas.replay_jobs import Selection

NOW = 1_790_000_000_000


def test_words_become_a_selection() -> None:
    """Recipients by their hashes, times as instants, states one by one."""
    words = Words(
        ["3:4"],
        "2h",
        None,
        ["welcome"],
        ["shop"],
        ["Ada@Example.com"],
        [550],
        ["AB12"],
        ["open,sent"],
    )

    assert selection_of(words, NOW) == Selection(
        since=NOW - 7_200_000,
        templates=frozenset({"welcome"}),
        tenants=frozenset({"shop"}),
        recipients=frozenset({recipient_of("Ada@example.com")}),
        codes=frozenset({550}),
        groups=frozenset({"ab12"}),
        positions=frozenset({"3:4"}),
        states=frozenset({"open", "sent"}),
    )


def test_every_wrong_word_is_named_at_once() -> None:
    """With what it should look like."""
    with pytest.raises(CommandFailed, match=r"(?s)no-id.*broken"):
        selection_of(Words(["no-id"], state=["broken"]), NOW)


def test_everything_is_selected_only_by_saying_so() -> None:
    """And never beside other words."""
    some = Selection(codes=frozenset({550}))

    assert meant(EVERYTHING, True) is EVERYTHING
    assert meant(some, False) is some
    for selection, everything in ((EVERYTHING, False), (some, True)):
        with pytest.raises(CommandFailed):
            meant(selection, everything)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("200/s", 200.0), ("200", 200.0), ("30/m", 0.5), ("1.5/s", 1.5), (None, None)],
)
def test_a_rate_is_so_many_a_time(text: str | None, rate: float | None) -> None:
    """A second, where nothing else is said."""
    assert rate_of(text) == rate


@pytest.mark.parametrize("text", ["0/s", "-1", "fast", "10/y", "nan", "inf/s", ""])
def test_other_rates_are_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(CommandFailed, match="200/s"):
        rate_of(text)


def test_shares_and_durations_and_values() -> None:
    """Each with its own words."""
    assert (share_of("10%"), share_of("100"), share_of(None)) == (0.1, 1.0, None)
    assert (duration_of("--renew", "1h"), duration_of("--renew", None)) == (3_600_000, None)
    assert (wait_of("1h"), wait_of("0"), wait_of("0s")) == (3_600_000, 0, 0)
    assert data_of(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    for wrong in (
        lambda: share_of("0%"),
        lambda: share_of("101"),
        lambda: share_of("many"),
        lambda: wait_of("soon"),
        lambda: data_of(["nothing"]),
    ):
        with pytest.raises(CommandFailed):
            wrong()


def test_a_canary_has_a_limit() -> None:
    """Whoever sends one wants the job to stop when it fails."""
    assert pace_of(None, 20, None, "5m", False).stop_at == DEFAULT_STOP_AT
    assert pace_of(None, 20, "50%", "5m", False).stop_at == 0.5
    assert pace_of(None, 0, None, "5m", False).stop_at is None


def test_a_transformation_is_read_from_its_file(tmp_path: Path) -> None:
    """One that is not there is named."""
    path = tmp_path / "t.py"
    path.write_text("def transform(event):\n    return event\n")

    assert source_of(path) == path.read_text()
    with pytest.raises(CommandFailed, match="nowhere"):
        source_of(tmp_path / "nowhere.py")


def test_a_process_of_this_host_is_known_to_be_alive_or_gone() -> None:
    """Of another host nobody here knows."""
    name = process_name()
    host = name.partition("/")[0]

    assert not is_gone(name)
    assert is_gone(f"{host}/4194304/abc")
    assert not is_gone("elsewhere/4194304/abc")


def test_the_beginning_of_a_job_s_id_is_enough() -> None:
    """Unless others begin so, too."""
    assert only(["abc", "abd", "x"], "abc") == "abc"
    for text in ("ab", "z"):
        with pytest.raises(CommandFailed, match="dlt jobs"):
            only(["abc", "abd", "x"], text)
