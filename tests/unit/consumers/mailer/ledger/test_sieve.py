"""What was added passes; of what was not, next to nothing does."""

import random

from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.ledger.sieve import Sieve


@given(st.sets(st.binary(min_size=16, max_size=16), max_size=20))
def test_what_was_added_passes(digests: set[bytes]) -> None:
    """Always, or a suppressed recipient would get a mail."""
    sieve = Sieve()
    for digest in digests:
        sieve.add(digest)

    assert all(map(sieve.passes, digests))


@given(st.sets(st.binary(min_size=16, max_size=16), max_size=20), st.integers(3, 24))
def test_what_was_added_passes_however_few_bits_count(digests: set[bytes], bits: int) -> None:
    """Or a mail that the store knows would be sent again."""
    sieve = Sieve(bits)
    sieve.add_all(digests)

    assert all(map(sieve.passes, digests))


def test_few_strangers_pass() -> None:
    """10,000 of 2^20 bits are set, so that one in a hundred passes."""
    chance = random.Random(1)
    sieve = Sieve()
    for _ in range(10_000):
        sieve.add(chance.randbytes(16))

    assert sum(sieve.passes(chance.randbytes(16)) for _ in range(10_000)) < 200


def test_an_open_sieve_lets_everything_pass() -> None:
    """Whoever asks a store that is closed must hear of that."""
    sieve = Sieve()
    assert not sieve.passes(b"0123456789abcdef")
    sieve.open()
    assert sieve.passes(b"0123456789abcdef")
