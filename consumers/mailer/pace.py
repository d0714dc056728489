"""How long mails that ended wait for others to be committed with, while more wait to begin.

A transaction costs the brokers as much as a hundred mails, however few are in it. But what is not
committed is sent again if a host is lost with its journal. So those wait longest of which most end.
"""

from typing import Final

_SHORTEST_SECONDS: Final = 0.05
_LONGEST_SECONDS: Final = 0.2
#: With so many mails a second or more they wait longest, with fewer as much shorter.
_FULL_RATE: Final = 5_000


def is_due(seconds: float, ended: int) -> bool:
    """Tell whether to commit what ended in so many seconds since the last commit."""
    if seconds >= _LONGEST_SECONDS:
        return True
    # Of the rate so far: seconds / longest >= (ended / seconds) / full rate.
    enough = seconds * seconds * _FULL_RATE >= ended * _LONGEST_SECONDS
    return seconds >= _SHORTEST_SECONDS and enough
