"""What is out is told with its reason and its beginning, until it is back."""

from dataclasses import replace

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage
from consumers.mailer.outages import OutageBook
from retry_topics.failure import Failure, FailureClass, Phase, Scope
from runtime.probes import Readiness
from schemas.switches import Switch, Switches, SwitchKey, SwitchKind

LOGIN = Outage(
    Failure(Scope.SENDER, FailureClass.CONFIG, Phase.AUTH, "Bad credentials", "auth", 535, "5.7.8"),
    1_800_000_000_000,
)


def test_a_reason_has_what_since_when_and_the_words() -> None:
    """As a person would write it down; and it is gone when the thing is back."""
    book = OutageBook()
    book.told(Blame.RELAY, "smtp.example:587", LOGIN)
    assert book.readiness() == Readiness(
        True,
        ["relay smtp.example:587 is out since 2027-01-15T08:00:00Z: 535 5.7.8 Bad credentials"],
    )
    book.told(Blame.RELAY, "smtp.example:587", None)
    assert book.readiness() == Readiness(True, [])


def test_a_relay_that_quotes_a_recipient_tells_nobody_who_it_is() -> None:
    """Readiness is read by whoever can reach the port."""
    book = OutageBook()
    quoting = replace(LOGIN.failure, text="Too many mails to <ada.lovelace@example.com>, later")
    book.told(Blame.DOMAIN, "example.com", Outage(quoting, LOGIN.since))

    (reason,) = book.readiness().reasons
    assert reason.endswith("535 5.7.8 Too many mails to <a***@example.com>, later")


def test_a_process_is_not_ready_only_while_no_mail_can_go_out() -> None:
    """One domain of many is no reason to look for another worker."""
    book = OutageBook()
    paused: list[Outage] = []
    book.paused_by(lambda: paused[0] if paused else None)
    for number in range(30):
        book.told(Blame.DOMAIN, f"{number}.example", LOGIN)
    assert book.readiness().ready
    assert book.readiness().reasons[-1] == "and 10 more"
    paused.append(LOGIN)
    assert not book.readiness().ready


def test_what_is_paused_is_told_first_and_leaves_the_process_ready() -> None:
    """As long as other mails go out; with a reason in any case where none can."""
    book = OutageBook()
    key = SwitchKey(SwitchKind.TEMPLATE, "welcome")
    book.switches = Switches().turned(key, Switch(key, LOGIN.since, "eve", "a wrong link"))
    book.told(Blame.DOMAIN, "b.example", LOGIN)
    assert book.readiness().ready
    assert book.readiness().reasons[0] == (
        "template welcome is paused by an operator since 2027-01-15T08:00:00Z: a wrong link"
    )
    book = OutageBook()
    book.paused_by(lambda: LOGIN)
    assert book.readiness() == Readiness(False, ["Bad credentials"])
