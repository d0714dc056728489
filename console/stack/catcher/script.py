"""What the catcher does with an address: the tag after the last plus sign in it decides.

Repeats are counted per address, so the second attempt at an address meets the second act.
"""

import re
from dataclasses import dataclass
from typing import Final

SLOW_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one attempt: a refusal of the recipient, or what follows the final dot."""

    refusal: str | None = None
    delay_seconds: float = 0.0
    drop: bool = False


ACCEPT: Final = Verdict()
_GREYLISTED: Final = Verdict("451 4.7.1 Greylisted, please try again later")
_NO_SUCH_USER: Final = Verdict("550 5.1.1 No such user here")
_BUSY: Final = Verdict("451 4.2.1 Mailbox temporarily unavailable")


@dataclass(frozen=True, slots=True)
class Rule:
    """One tag. `refusals` is how often `verdict` falls before the mail is taken, None for ever."""

    tag: str
    meaning: str
    verdict: Verdict
    refusals: int | None = None


#: Every tag there is; `tempfail` followed by a number is the same rule with another count.
RULES: Final = (
    Rule("greylist", "refused once with 451 4.7.1, then accepted", _GREYLISTED, refusals=1),
    Rule("bounce", "refused with 550 5.1.1, always", _NO_SUCH_USER),
    Rule("tempfailN", "refused N times with 451 4.2.1, then accepted", _BUSY, refusals=0),
    Rule("tempfail", "refused with 451 4.2.1, always", _BUSY),
    Rule("slow", f"accepted {SLOW_SECONDS:g} s late", Verdict(delay_seconds=SLOW_SECONDS)),
    Rule(
        "drop",
        "the connection breaks after the final dot; the mail is not kept",
        Verdict(drop=True),
    ),
)
_BY_TAG: Final = {rule.tag: rule for rule in RULES}
_COUNTED: Final = re.compile(r"tempfail(\d{1,4})")


def tag_of(address: str) -> str:
    """Return the tag of an address, empty where it has none."""
    local = address.rpartition("@")[0]
    return local.rpartition("+")[2].lower() if "+" in local else ""


def is_scripted(address: str) -> bool:
    """Tell whether attempts at the address have to be counted."""
    return _rule(address) is not None


def verdict_for(address: str, attempts_before: int) -> Verdict:
    """Return what happens to the next attempt at an address."""
    found = _rule(address)
    if found is None:
        return ACCEPT
    rule, refusals = found
    return rule.verdict if refusals is None or attempts_before < refusals else ACCEPT


def _rule(address: str) -> tuple[Rule, int | None] | None:
    tag = tag_of(address)
    counted = _COUNTED.fullmatch(tag)
    if counted:
        return _BY_TAG["tempfailN"], int(counted[1])
    rule = _BY_TAG.get(tag)
    if rule is None or rule.tag == "tempfailN":
        return None
    return rule, rule.refusals
