"""The mail catcher as a test wants it: in this process, with its catch at hand."""

from collections import Counter
from collections.abc import Sequence

from console.stack.catcher.store import CaughtMail
from console.stack.catcher.threaded import CatcherThread
from tests.support.wait import wait_until


def recipients(catcher: CatcherThread) -> Counter[str]:
    """Return how many mails each recipient was sent."""
    return Counter(address for mail in catcher.store.mails() for address in mail.recipients)


def wait_for_mail(catcher: CatcherThread, address: str, timeout: float = 30.0) -> CaughtMail:
    """Return the first mail to an address as soon as it is there."""
    wait_until(lambda: catcher.store.to(address), timeout, f"a mail to {address}")
    return catcher.store.to(address)[0]


def wait_for_all(catcher: CatcherThread, addresses: Sequence[str], timeout: float = 60.0) -> None:
    """Return as soon as every address has its mail."""
    wanted = set(addresses)

    def missing() -> set[str]:
        return wanted - set(recipients(catcher))

    try:
        wait_until(lambda: not missing(), timeout)
    except AssertionError:
        some = sorted(missing())[:5]
        raise AssertionError(
            f"{len(missing())} of {len(wanted)} have no mail, e.g. {some}"
        ) from None
