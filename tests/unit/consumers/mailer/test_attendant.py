"""What another thread has the event loop attend to."""

import asyncio

import pytest

from consumers.mailer.attendant import LoopAttendant


async def test_it_is_looked_after_on_the_loop_until_it_is_done() -> None:
    """The thread that waits goes on once the loop has seen it done, and nobody looks again."""
    looks: list[bool] = []

    def done() -> bool:
        assert asyncio.get_running_loop()
        looks.append(len(looks) == 3)
        return looks[-1]

    attendant = LoopAttendant(asyncio.get_running_loop())

    assert await asyncio.to_thread(attendant.until, done, 10.0)
    assert looks == [False, False, False, True]


async def test_whoever_waits_in_vain_is_told_and_nobody_looks_again() -> None:
    """After the time the thread sees to it itself."""
    looks = 0

    def done() -> bool:
        nonlocal looks
        looks += 1
        return False

    attendant = LoopAttendant(asyncio.get_running_loop())

    assert not await asyncio.to_thread(attendant.until, done, 0.02)
    seen = looks
    for _ in range(3):
        await asyncio.sleep(0.002)
    assert looks <= seen + 1


def test_a_loop_that_is_closed_says_so() -> None:
    """Then nothing can be committed any more, and the committer fails with it."""
    loop = asyncio.new_event_loop()
    loop.close()

    with pytest.raises(RuntimeError, match="closed"):
        LoopAttendant(loop).until(lambda: True, 0.1)
