"""Causes: what is read in short is what the whole history says, and equal causes have one group."""

from hypothesis import given
from hypothesis import strategies as st

from retry_topics.dlt.cause import CauseReader, cause_of, fingerprint_of
from retry_topics.headers import HISTORY, Attempt, Journey, read_journey, write_journey
from retry_topics.policy import DeadReason

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ['","code":1', '"scope":"', '{"n":', "\\", '\\","text":"', "}]}"]
)
attempts = st.builds(
    Attempt,
    number=st.integers(1, 10**6),
    at=st.integers(0, 10**15),
    worker=words,
    scope=words,
    kind=words,
    phase=words,
    rule=words,
    text=words,
    code=st.none() | st.integers(200, 599),
    enhanced=st.none() | words,
)


def history_of(*attempts: Attempt) -> bytes:
    return dict(write_journey((), Journey(history=attempts)))[HISTORY] or b""


@given(st.lists(st.lists(attempts, min_size=1, max_size=3), min_size=1, max_size=5))
def test_a_cause_read_in_short_is_that_of_the_whole_history(histories: list[list[Attempt]]) -> None:
    """With one reader for all of them, so that nothing is taken for something that it is not."""
    reader = CauseReader()
    for history in histories:
        written = history_of(*history)
        (*_, last) = read_journey(((HISTORY, written),)).history

        assert reader.read("t", b"refused", written).cause == cause_of("refused", last)


@given(attempts, words)
def test_who_said_it_to_whom_and_when_makes_no_other_cause(attempt: Attempt, text: str) -> None:
    """Mails that a relay refuses for one reason are one group, whatever id its reply names."""
    other = Attempt(
        7,
        8,
        "another",
        attempt.scope,
        attempt.kind,
        attempt.phase,
        attempt.rule,
        text,
        attempt.code,
        attempt.enhanced,
    )
    reader = CauseReader()
    one, two = (reader.read("welcome", b"refused", history_of(each)) for each in (attempt, other))

    assert one is two


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_a_damaged_history_is_a_cause_of_its_own(reason: bytes, history: bytes) -> None:
    """It never raises: such letters are listed like others."""
    CauseReader().read("welcome", reason, history)


def test_what_failed_before_any_attempt_is_told_by_the_reason() -> None:
    """An unknown template is the template's failure, whatever was attempted before."""
    attempt = Attempt(1, 2, "w", "recipient", "transient", "rcpt", "greylisted", "later", 451)
    reason = DeadReason.UNKNOWN_TEMPLATE.encode()
    cause = CauseReader().read("welcome", reason, history_of(attempt)).cause

    assert (cause.scope, cause.phase, cause.rule) == ("template", "render", "unknown_template")


def test_a_fingerprint_tells_templates_and_codes_apart() -> None:
    """And nothing else than its parts goes into it."""
    cause = cause_of("refused", Attempt(1, 2, "w", "recipient", "permanent", "rcpt", "r", "t", 550))

    prints = {
        fingerprint_of("welcome", cause),
        fingerprint_of("plain", cause),
        fingerprint_of("welcome", cause._replace(code=551)),
    }
    assert len(prints) == 3
    assert fingerprint_of("welcome", cause._replace(enhanced="5.1.1")) in prints
