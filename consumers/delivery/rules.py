"""What replies mean, as data: rules in the order in which they are asked, the first match wins.

A rule's text is searched in the reply's text without regard to case; its codes and enhanced codes
match as a whole. `soft` is the class for a 4yz reply, `hard` the one for a 5yz reply; a rule with
None there does not apply to such replies. Words come before codes, because providers put a quota
behind a 550 and a block list behind a 5.7.1, and enhanced codes come before plain ones.
"""

from dataclasses import dataclass, field
from re import IGNORECASE, Pattern, compile
from typing import Final

from consumers.delivery import vocabulary
from retry_topics.failure import FailureClass, Phase, Scope

_T, _P = FailureClass.TRANSIENT, FailureClass.PERMANENT
_C, _R = FailureClass.CONFIG, FailureClass.THROTTLE
_RECIPIENT, _MESSAGE, _SENDER, _ENDPOINT = (
    Scope.RECIPIENT,
    Scope.MESSAGE,
    Scope.SENDER,
    Scope.ENDPOINT,
)
_MAIL: Final = frozenset({Phase.MAIL})
_RCPT: Final = frozenset({Phase.RCPT})
_BODY: Final = frozenset({Phase.DATA, Phase.DOT})
_ENVELOPE: Final = _MAIL | _RCPT
_TRANSACTION: Final = _ENVELOPE | _BODY
_SESSION: Final = frozenset({Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS})
_AUTH: Final = frozenset({Phase.AUTH})


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table. Patterns that are empty match anything."""

    name: str
    scope: Scope
    soft: FailureClass | None
    hard: FailureClass | None
    phases: frozenset[Phase] = _TRANSACTION
    text: str = ""
    enhanced: str = ""
    codes: str = ""
    _text: Pattern[str] = field(init=False, repr=False, compare=False)
    _enhanced: Pattern[str] = field(init=False, repr=False, compare=False)
    _codes: Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_text", compile(self.text, IGNORECASE))
        object.__setattr__(self, "_enhanced", compile(self.enhanced or ".*"))
        object.__setattr__(self, "_codes", compile(self.codes or ".*"))

    def kind(self, code: int, enhanced: str | None, text: str, phase: Phase) -> FailureClass | None:
        """Return the class that the rule gives to a reply, None where it does not apply."""
        kind = self.soft if code < 500 else self.hard
        if kind is None or phase not in self.phases:
            return None
        matches = (
            self._codes.fullmatch(str(code))
            and self._enhanced.fullmatch(enhanced or "")
            and self._text.search(text)
        )
        return kind if matches else None


RULES: Final[tuple[Rule, ...]] = (
    # Before a transaction: about the relay or about us, never about one mail.
    Rule("session-throttled", _ENDPOINT, _R, None, _SESSION, text=f"{vocabulary.RATE}|too busy"),
    Rule("session-deferred", _ENDPOINT, _T, None, _SESSION),
    Rule("session-refused", _ENDPOINT, None, _C, _SESSION),
    Rule("auth-throttled", _SENDER, _R, None, _AUTH, text=vocabulary.RATE),
    Rule("auth-password-transition", _SENDER, _C, None, _AUTH, codes="432"),
    Rule("auth-unavailable", _ENDPOINT, _T, None, _AUTH),
    Rule("auth-refused", _SENDER, None, _C, _AUTH),
    # The session itself is not as the relay wants it.
    Rule(
        "tls-required",
        _ENDPOINT,
        _C,
        _C,
        text=r"starttls|(?:tls|encrypt\w*|secure connection) (?:is |are )?(?:required|needed)"
        r"|(?:requires?|require use of|must use) (?:tls|encryption|ssl)",
    ),
    Rule("tls-required", _ENDPOINT, _C, _C, enhanced=r"[45]\.7\.(?:10|11|29)"),
    Rule(
        "login-required",
        _SENDER,
        None,
        _C,
        text=r"authentication (?:is )?required|must (?:be )?authenticate|authenticate first"
        r"|requires? authentication|need to authenticate|client was not authenticated|smtp auth"
        r"|(?:not|no) logged ?in|log ?in first|please (?:login|log in|authenticate)|auth first",
    ),
    Rule("login-required", _SENDER, _C, _C, codes="530|534|535|538"),
    Rule("helo-refused", _ENDPOINT, _C, _C, text=r"\b(?:helo|ehlo)\b"),
    Rule(
        "relaying-denied",
        _ENDPOINT,
        _C,
        _C,
        text=r"relay(?:ing)?\b[^.;]{0,30}(?:denied|prohibited|forbidden|refused|not|disallow)"
        r"|(?:not|denied|cannot|unable to|don't)[^.;]{0,30}\brelay|for relay|rcpthosts"
        r"|client host rejected: access denied",
    ),
    Rule("out-of-step", _ENDPOINT, _T, _T, codes="50[023]"),
    Rule("out-of-step", _ENDPOINT, _T, _T, enhanced=r"[45]\.5\.1"),
    Rule(
        "connection-used-up",
        _ENDPOINT,
        _T,
        None,
        codes="421|451",
        text=r"per (?:connection|session)|connection (?:expired|timed? ?out)"
        r"|time ?-?out|timed out|closing connection",
    ),
    # Rates and quotas, whatever their code: they heal by waiting.
    Rule(
        "recipient-throttled",
        _RECIPIENT,
        _T,
        _T,
        text=r"receiving (?:e?mails?|messages) (?:at a rate|too (?:quickly|fast))",
    ),
    Rule("size-limit", _MESSAGE, _T, _P, text=r"\bsize\b|too (?:big|large|long)"),
    Rule("mailbox-full", _RECIPIENT, _T, _T, enhanced=r"[45]\.2\.2"),
    Rule("send-quota", _SENDER, _R, _R, text=vocabulary.SEND_QUOTA),
    Rule("send-quota", _SENDER, _R, _R, enhanced=r"5\.4\.5|5\.1\.90|5\.7\.705"),
    Rule("mailbox-full", _RECIPIENT, _T, _T, text=vocabulary.MAILBOX_FULL),
    Rule("send-quota", _SENDER, _R, _R, text="quota"),
    Rule("greylisted", _RECIPIENT, _T, None, text=r"gr[ae]y[- ]?list"),
    Rule("throttled", _SENDER, _R, _R, text=vocabulary.RATE),
    Rule(
        "throttled",
        _SENDER,
        _R,
        _R,
        enhanced=r"4\.7\.(?:28|[56]\d\d|8[5-9]\d)|5\.7\.28",
    ),
    Rule(
        "too-many-errors", _SENDER, _R, _R, text=r"too many (?!hops|received|headers|attachments)"
    ),
    # Who we are and where we send from.
    Rule(
        "sender-unauthenticated",
        _SENDER,
        _T,
        _C,
        text=r"dmarc|\bspf\b|dkim|sender policy framework|unauthenticated|authentication checks",
    ),
    Rule("sender-unauthenticated", _SENDER, _T, _C, enhanced=r"[45]\.7\.(?:2[0-7]|3[02]|509)"),
    Rule(
        "reverse-dns",
        _SENDER,
        _T,
        _C,
        text=r"reverse (?:dns|hostname|lookup)|\bptr\b|\brdns\b|cannot find your (?:reverse )?host",
    ),
    Rule("spam-link", _MESSAGE, _T, _P, _BODY, text=r"uribl|surbl|\bdbl\b"),
    Rule("address-blocked", _SENDER, _T, _T, text=vocabulary.BLOCKED),
    Rule("address-blocked", _SENDER, _T, _T, enhanced=r"5\.7\.(?:5(?:0[1-68]|11)|6[0-4]\d|708)"),
    Rule("malformed", _MESSAGE, _T, _P, _BODY, text=r"missing a valid|in from: header|duplicate"),
    Rule("sender-refused", _SENDER, _T, _C, text=vocabulary.SENDER_REFUSED),
    Rule("sender-refused", _SENDER, _T, _C, enhanced=r"[45]\.(?:1\.[78]|7\.(?:60|3|8|57|64|750))"),
    # The recipient.
    Rule("no-such-recipient", _RECIPIENT, _T, _P, text=vocabulary.NO_MAILBOX),
    Rule("no-such-recipient", _RECIPIENT, _T, _P, enhanced=r"[45]\.1\.(?!0)\d+|[45]\.2\.1"),
    Rule(
        "recipient-unroutable",
        _RECIPIENT,
        _T,
        _P,
        enhanced=r"5\.4\.\d+|4\.4\.[0-9]\d*",
        phases=_RCPT | _BODY,
    ),
    Rule("spam-sender", _SENDER, _T, _T, _ENVELOPE, text=r"\bspam|unsolicited"),
    # The message.
    Rule("content-refused", _MESSAGE, _T, _P, _BODY, text=vocabulary.CONTENT),
    Rule("content-refused", _MESSAGE, _T, _P, enhanced=r"[45]\.(?:6\.\d+|2\.3|3\.4)"),
    # The relay.
    Rule("relay-misconfigured", _ENDPOINT, _C, _C, _ENVELOPE, enhanced=r"[45]\.3\.5"),
    Rule("relay-unavailable", _ENDPOINT, _T, _T, _ENVELOPE, enhanced=r"[45]\.3\.[12]|4\.4\.[25]"),
    Rule("relay-out-of-storage", _ENDPOINT, _T, None, _ENVELOPE, text=r"system storage|disk"),
    Rule("relay-closing", _ENDPOINT, _T, None, codes="421"),
    # Plain codes by phase.
    Rule("envelope-unsupported", _MESSAGE, None, _P, _MAIL, codes="501|504|552|555"),
    Rule("mail-deferred", _ENDPOINT, _T, None, _MAIL),
    Rule("mail-refused", _SENDER, None, _C, _MAIL),
    Rule("storage-exceeded", _RECIPIENT, None, _T, _RCPT, codes="552"),
    Rule("recipient-syntax", _MESSAGE, None, _P, _RCPT, codes="504|555"),
    Rule("recipient-deferred", _RECIPIENT, _T, None, _RCPT),
    Rule("recipient-refused", _RECIPIENT, None, _P, _RCPT),
    Rule("message-deferred", _MESSAGE, _T, None, _BODY),
    Rule("message-refused", _MESSAGE, None, _P, _BODY),
)
