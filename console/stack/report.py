"""What the demo prints: the balance as a table, the dead letters, one of the mails."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from console.stack.tally import DeadMail, Tally

_SHOWN_HEADERS: Final = ("From", "To", "Subject", "Date", "Message-ID")
_SHOWN_ADDRESSES: Final = 5


def balance_table(tally: Tally) -> Table:
    """Return the balance as a table; what should be nothing is red where it is not."""
    table = Table(title="What became of the signups", title_justify="left", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_row("posted", str(tally.posted))
    table.add_row("accepted by the API (202)", str(tally.accepted))
    table.add_row("sent", str(tally.sent))
    for label, count in tally.retried.items():
        table.add_row(f"  tried again after {label}", str(count))
    table.add_row("dead-lettered", str(tally.dead))
    table.add_row("duplicates", _bad_unless_zero(len(tally.duplicates)))
    table.add_row("lost", _bad_unless_zero(len(tally.lost)))
    for state, count in sorted(tally.told.items()):
        table.add_row(f"status view: {state}", str(count))
    table.add_row("status view: missing or wrong", _bad_unless_zero(len(tally.mistold)))
    table.add_section()
    table.add_row("POST to acceptance, at first attempt: p50", _ms(tally.first_attempts.p50))
    table.add_row("  p99", _ms(tally.first_attempts.p99))
    table.add_row("POST to acceptance, with retries: p50", _ms(tally.all_mails.p50))
    table.add_row("  p99", _ms(tally.all_mails.p99))
    return table


def dead_letters(dead: Sequence[DeadMail]) -> RenderableType:
    """Return the dead letters, each with what the mail server said in the end."""
    table = Table(title="The dead letters", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("recipient")
    table.add_column("reason")
    table.add_column("the last reply")
    for mail in sorted(dead, key=lambda mail: mail.address):
        table.add_row(Text(mail.address), Text(mail.reason), Text(mail.text))
    return table


def one_mail(mail: Mapping[str, Any]) -> RenderableType:
    """Return one of the caught mails, decoded."""
    headers = dict(mail["headers"])
    lines = [Text(f"{name}: {headers[name]}") for name in _SHOWN_HEADERS if name in headers]
    body = Text(f"\n{str(mail['text'] or '').strip()}")
    return Panel(Group(*lines, body), title="One of the mails", title_align="left", expand=False)


def one_history(lines: Sequence[str]) -> Text:
    """Return what the status view tells of one mail, to be printed without folding."""
    title = Text("One that was refused twice, as `mailcascade status` tells it", style="italic")
    return Text("\n").join([title, *map(Text, lines)])


def complaints(tally: Tally) -> list[str]:
    """Return a sentence for each thing that is wrong with the balance."""
    found = []
    if tally.accepted < tally.posted:
        found.append(f"{tally.posted - tally.accepted} signups were not accepted.")
    if tally.lost:
        found.append(f"Neither sent nor dead-lettered: {_some(tally.lost)}.")
    if tally.duplicates:
        found.append(f"Ended more than once: {_some(tally.duplicates)}.")
    if tally.mistold:
        found.append(f"Told wrongly by the status view: {_some(tally.mistold)}.")
    return found


def seconds(milliseconds: int) -> str:
    """Return a duration as people say it."""
    return f"{milliseconds} ms" if milliseconds < 1_000 else f"{milliseconds / 1_000:.1f} s"


def _ms(value: int | None) -> str:
    return "-" if value is None else seconds(value)


def _bad_unless_zero(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "bold green")


def _some(addresses: Sequence[str]) -> str:
    more = len(addresses) - _SHOWN_ADDRESSES
    return ", ".join(addresses[:_SHOWN_ADDRESSES]) + (f" and {more} more" if more > 0 else "")
