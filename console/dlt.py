"""`mailcascade dlt`: dead-lettered mails grouped by cause, listed, shown, and followed."""

import json
import os
import sys

import typer

from console.dlt_options import (
    Code,
    Group,
    Json,
    Letter,
    Limit,
    Named,
    Recipient,
    Reveal,
    Since,
    State,
    Template,
    Tenant,
    Until,
)
from console.failures import CommandFailed, ExitCode
from runtime.clock import SystemClock

dlt_app = typer.Typer(help="Look at dead-lettered mails, replay them, or settle them.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    # They add their commands to the group.
    from console import dlt_replay, dlt_transfer  # noqa: PLC0415

    dlt_replay.register(dlt_app)
    dlt_transfer.register(dlt_app)
    app.add_typer(dlt_app, name="dlt")


@dlt_app.callback(invoke_without_command=True)
def dlt(context: typer.Context) -> None:
    """Count dead-lettered mails by what they died of."""
    if context.invoked_subcommand is None:
        groups()


@dlt_app.command()
def groups(  # noqa: PLR0913 - a parameter for each option
    since: Since = None,
    until: Until = None,
    template: Template = None,
    tenant: Tenant = None,
    recipient: Recipient = None,
    code: Code = None,
    group: Group = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Count dead-lettered mails by what they died of, the open ones and the settled ones apart."""
    from console.dlt_shown import groups_lines  # noqa: PLC0415
    from console.dlt_words import Words, selection_of  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from retry_topics.dlt.told import groups_told  # noqa: PLC0415

    words = Words(None, since, until, template, tenant, recipient, code, group, state)
    with desk_of(os.environ) as desk:
        found = desk.groups(selection_of(words, SystemClock().now_ms()))
    told = json.dumps(groups_told(found), indent=2) if as_json else "\n".join(groups_lines(found))
    print(told)


@dlt_app.command("list")
def list_letters(  # noqa: PLR0913 - a parameter for each option
    named: Named = None,
    since: Since = None,
    until: Until = None,
    template: Template = None,
    tenant: Tenant = None,
    recipient: Recipient = None,
    code: Code = None,
    group: Group = None,
    state: State = None,
    limit: Limit = 50,
    reveal: Reveal = False,
    as_json: Json = False,
) -> None:
    """List dead-lettered mails, the newest first."""
    from console.dlt_shown import counted, letter_line  # noqa: PLC0415
    from console.dlt_words import Words, selection_of  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from retry_topics.dlt.told import letter_told  # noqa: PLC0415

    words = Words(named, since, until, template, tenant, recipient, code, group, state)
    with desk_of(os.environ) as desk:
        found = desk.letters(selection_of(words, SystemClock().now_ms()), limit)
    if as_json:
        print(json.dumps([letter_told(*one, reveal) for one in found], indent=2))
        return
    for one in found:
        print(letter_line(*one))
    print(counted(len(found), "record") + ("; there may be more" if len(found) == limit else ""))


@dlt_app.command()
def show(
    name: Letter,
    reveal: Reveal = False,
    as_json: Json = False,
) -> None:
    """Show one record whole: its event, every attempt, where it came from, and what it is."""
    from console.dlt_shown import whole_lines  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from retry_topics.dlt.told import whole_told  # noqa: PLC0415

    with desk_of(os.environ) as desk:
        found = desk.find(name)
        if not found:
            raise CommandFailed(f"{name}: there is no such record on the dead-letter topic")
        codec = desk.archive.codec
        told = [(one, desk.standing(one.letter)) for one in found]
    if as_json:
        rows = [whole_told(one, standing, codec, reveal) for one, standing in told]
        print(json.dumps(rows[0] if ":" in name else rows, indent=2))
        return
    for one, standing in told:
        print("\n".join(whole_lines(one, standing, codec, reveal)))


@dlt_app.command()
def tail(as_json: Json = False) -> None:
    """Show mails as they die, until Ctrl-C."""
    from console.dlt_shown import letter_line  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from retry_topics.dlt.told import letter_told  # noqa: PLC0415

    with desk_of(os.environ) as desk:
        print("waiting for mails to die; Ctrl-C ends it", file=sys.stderr)
        try:
            for found in desk.archive.follow():
                letter, standing, _ = found
                told = letter_told(letter, standing, reveal=False)
                line = json.dumps(told) if as_json else letter_line(letter, standing)
                print(line, flush=True)
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.OK) from None
