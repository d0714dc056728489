"""The people who sign up in the demo: most are ordinary, some have difficult mail servers."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, cycle, islice, repeat
from typing import Final

from console.stack.catcher.script import tag_of

_PEOPLE: Final = (
    ("Ada Lovelace", "en"),
    ("Jürgen Groß", "de"),
    ("王小明", "zh-CN"),
    ("Grace Hopper", "en"),
    ("Zoë Ångström", "en-GB"),
)
#: Tag and how many in a hundred signups have it; at least one of each.
_DIFFICULT: Final = (
    ("greylist", 4),
    ("tempfail1", 3),
    ("tempfail2", 3),
    ("bounce", 2),
    ("tempfail", 1),
)
MIN_SIGNUPS: Final = 20


@dataclass(frozen=True, slots=True)
class Signup:
    """One person's signup."""

    address: str
    name: str
    locale: str
    confirm_url: str

    @property
    def is_ordinary(self) -> bool:
        """Tell whether the catcher takes mail to the address at once."""
        return not tag_of(self.address)


def signups(count: int) -> list[Signup]:
    """Return that many signups with the difficult ones spread evenly among them."""
    difficult = list(_difficult_tags(count))
    step = count / len(difficult)
    at = {int(step * (number + 0.5)): tag for number, tag in enumerate(difficult)}
    people = islice(cycle(_PEOPLE), count)
    return [_signup(number, at.get(number, ""), *who) for number, who in enumerate(people)]


def _difficult_tags(count: int) -> Iterator[str]:
    return chain.from_iterable(
        repeat(tag, max(1, count * per_hundred // 100)) for tag, per_hundred in _DIFFICULT
    )


def _signup(number: int, tag: str, name: str, locale: str) -> Signup:
    mailbox = f"user{number + 1:03}"
    address = f"{mailbox}+{tag}@example.com" if tag else f"{mailbox}@example.com"
    return Signup(address, name, locale, f"https://app.example.com/confirm?token={number + 1:06x}")
