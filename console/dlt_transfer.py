"""`mailcascade dlt export` and `import`: dead letters to a file, and corrected ones back."""

import os
import sys

import typer

from console.dlt_options import (
    CANARY_WAIT,
    WAIT,
    AsNew,
    Canary,
    CanaryWait,
    Code,
    Everything,
    Force,
    Group,
    Json,
    Named,
    Out,
    PlanOnly,
    Rate,
    Reason,
    Recipient,
    RenewExpiry,
    Since,
    Source,
    State,
    StopIfFailing,
    Template,
    Tenant,
    Until,
    Wait,
    Yes,
)
from console.failures import ExitCode, explained
from runtime.clock import SystemClock


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("export")(export)
    app.command("import")(import_file)


def export(  # noqa: PLR0913 - a parameter for each option
    out: Out,
    named: Named = None,
    since: Since = None,
    until: Until = None,
    template: Template = None,
    tenant: Tenant = None,
    recipient: Recipient = None,
    code: Code = None,
    group: Group = None,
    state: State = None,
    everything: Everything = False,
) -> None:
    """Write records to a file, with their addresses: bytes, event, headers, attempts, state."""
    from console import dlt_words as words  # noqa: PLC0415
    from console.dlt_files import format_of, write_rows  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from retry_topics.dlt.exported import exported  # noqa: PLC0415

    format_of(out)
    typed = words.Words(named, since, until, template, tenant, recipient, code, group, state)
    selection = words.meant(words.selection_of(typed, SystemClock().now_ms()), everything)
    with desk_of(os.environ) as desk:
        codec = desk.archive.codec
        count = write_rows(out, (exported(found, codec) for found in desk.each(selection)))
    print(f"{count} records written to {out}", file=sys.stderr)


def import_file(  # noqa: PLR0913 - a parameter for each option
    file: Source,
    plan: PlanOnly = False,
    rate: Rate = None,
    canary: Canary = 0,
    stop_if_failing: StopIfFailing = None,
    canary_wait: CanaryWait = CANARY_WAIT,
    renew_expiry: RenewExpiry = None,
    as_new: AsNew = False,
    yes: Yes = False,
    force: Force = False,
    reason: Reason = "",
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """Replay the records of an exported file, as the file has them, corrected or not, as a job."""
    from console import dlt_words as words  # noqa: PLC0415
    from console.dlt_files import format_of, read_rows  # noqa: PLC0415
    from console.dlt_replay import How, plan_or_run, sure  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from retry_topics.dlt.importing import ImportRefused  # noqa: PLC0415
    from retry_topics.dlt.selection import EVERYTHING  # noqa: PLC0415

    format_of(file)
    edit = words.edit_of(None, (), None, renew_expiry, as_new)
    pace = words.pace_of(rate, canary, stop_if_failing, canary_wait, force)
    wait_ms = words.wait_of(wait)
    sure(as_new and not yes and not plan)
    with desk_of(os.environ) as desk:
        job = desk.order(EVERYTHING, edit, pace, reason)
        with explained(ImportRefused, code=ExitCode.WRONG_SETTING):
            job = desk.take_rows(job, read_rows(file))
        plan_or_run(desk, job, How(plan, wait_ms, as_json))
