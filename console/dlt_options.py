"""The options that the `mailcascade dlt` commands share."""

from pathlib import Path
from typing import Annotated, Final

import typer

MOST_LISTED: Final = 10_000
WAIT: Final = "1m"
CANARY_WAIT: Final = "5m"

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Named = Annotated[
    list[str] | None,
    typer.Argument(metavar="[POSITION|ID]...", help="Positions such as 3:1204, or mails' ids."),
]
Since = Annotated[
    str | None, typer.Option(help="Dead since: RFC 3339, or how long ago, such as 2h.")
]
Until = Annotated[str | None, typer.Option(help="Dead before: the same.")]
Template = Annotated[list[str] | None, typer.Option(help="Only of this template.")]
Tenant = Annotated[list[str] | None, typer.Option(help="Only of this tenant.")]
Recipient = Annotated[list[str] | None, typer.Option(help="Only to this address.")]
Code = Annotated[list[int] | None, typer.Option(help="Only with this SMTP code.")]
Group = Annotated[
    list[str] | None,
    typer.Option(metavar="FINGERPRINT", help="Only of this group; its beginning is enough."),
]
State = Annotated[
    list[str] | None, typer.Option(help="Only in these states, such as open,dead_again.")
]
Everything = Annotated[bool, typer.Option("--all", help="Every record there is.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show addresses and values as they are.")]
Limit = Annotated[int, typer.Option(min=1, max=MOST_LISTED, help="The most to show.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever asks later.")]
Out = Annotated[
    str,
    typer.Option(metavar="FILE", help="What to write: a .jsonl or .avro file, - for the output."),
]
Source = Annotated[
    str, typer.Argument(metavar="FILE", help="A .jsonl or .avro file; - for the input.")
]
Letter = Annotated[
    str, typer.Argument(metavar="POSITION|ID", help="A position such as 3:1204, or an id.")
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or its beginning.")]

PlanOnly = Annotated[bool, typer.Option("--plan", help="Only tell what would happen, and save it.")]
Rate = Annotated[str | None, typer.Option(help="At most so many, such as 200/s or 30/m.")]
Canary = Annotated[
    int, typer.Option(min=0, max=10_000, help="So many first; their outcomes are waited for.")
]
StopIfFailing = Annotated[
    str | None, typer.Option(help="Stop when so many fail again; with a canary 10% by itself.")
]
CanaryWait = Annotated[str, typer.Option(help="How long the canary's outcomes are waited for.")]
SetTemplate = Annotated[str | None, typer.Option(help="Send with this template.")]
SetData = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set a variable's value.")
]
Transform = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Python with a function transform(event).")
]
RenewExpiry = Annotated[
    str | None, typer.Option(help="Let mails that expire be sent for so long, such as 1h.")
]
AsNew = Annotated[bool, typer.Option("--as-new", help="As new mails, also what was sent already.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also what was replayed as often as is allowed.")
]
Wait = Annotated[
    str,
    typer.Option(
        "--wait", help="So long outcomes are waited for after the last replay; 0: not at all."
    ),
]
