"""The `mailcascade` command: parses arguments, loads settings, runs a part, explains failures."""

import asyncio
import importlib
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from console import dlt, mail_commands, relay, switch_commands, template_preview
from console.doctor import command as doctor
from console.exporter import export
from console.failures import CommandFailed, ExitCode, explained
from console.projector import keep_view
from console.topics import apply_topics, plan_topics
from runtime.clock import SystemClock
from runtime.kafka.errors import KafkaFault
from runtime.lifecycle import stop_when_closed
from runtime.logs import configure_logs, get_logger
from runtime.metrics import MetricsNotShown
from runtime.setting_report import describe, explain
from runtime.settings import Settings, SettingsError, load_settings
from runtime.tracing import TracingUnavailable

_STDIN: Final = 0
_WRONG: Final = ExitCode.WRONG_SETTING
_EPILOG: Final = (
    "Every part is configured by MAILCASCADE_* variables; `mailcascade settings --explain` lists "
    "them. Exit codes: 0 done or stopped gracefully, 1 failed, 2 a wrong setting or argument."
)
_log = get_logger("cli")

app = typer.Typer(
    name="mailcascade",
    help="Sends a web application's mail reliably in the background, through Kafka.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
topics_app = typer.Typer(
    help="Create the topics and keep them as they should be.", no_args_is_help=True
)
app.add_typer(topics_app, name="topics")
keys_app = typer.Typer(help="Issue keys for clients of the API.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

_PASS_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True}


def main() -> None:
    """Run the command and exit; the boundary at which every error becomes an exit code."""
    configure_logs("info", sys.stderr)
    try:
        app()
    except SettingsError as error:
        print(f"mailcascade cannot use its settings:\n{error}", file=sys.stderr)
        sys.exit(ExitCode.WRONG_SETTING)
    except CommandFailed as error:
        print(f"mailcascade: {error}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception:  # noqa: BLE001 - the process' boundary: logged, and an exit code
        _log.exception("command.failed", arguments=sys.argv[1:])
        sys.exit(ExitCode.FAILED)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(importlib.metadata.version("mailcascade"))
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def ingest() -> None:
    """Run the HTTP API that accepts mails. SIGTERM finishes what was accepted, then stops."""
    settings = _long_running()
    # Loaded here, so that a worker does not carry the web framework in its memory.
    from ingest.serve import run  # noqa: PLC0415
    from runtime.kafka.registry import SchemaRefused  # noqa: PLC0415
    from schemas.errors import BrokenCatalogue, RegistryUnavailable  # noqa: PLC0415

    with (
        explained(KafkaFault, RegistryUnavailable, SchemaRefused),
        explained(BrokenCatalogue, TracingUnavailable, code=_WRONG),
    ):
        raise typer.Exit(run(settings))


@app.command()
def worker(
    processes: Annotated[
        int, typer.Option(min=1, max=256, help="Worker processes to keep running on this host.")
    ] = 1,
    stop_on_eof: Annotated[bool, typer.Option("--stop-on-eof", hidden=True)] = False,
) -> None:
    """Run workers that send the mails. SIGTERM finishes the mails in hand, then stops."""
    settings = _long_running()
    # Loaded here, so that the API does not carry the delivery in its memory.
    from consumers.delivery.letterhead import UnfitLetterhead  # noqa: PLC0415
    from consumers.delivery.rule_files import BrokenRules  # noqa: PLC0415
    from consumers.mailer.committer import CommitterFailed  # noqa: PLC0415
    from consumers.mailer.ledger.restore import RestoreFailed  # noqa: PLC0415
    from consumers.mailer.slots import NoSlot  # noqa: PLC0415
    from consumers.serve import TopicsUnfit, UnfitRelay, run_worker  # noqa: PLC0415
    from consumers.supervisor import Supervision, supervise  # noqa: PLC0415
    from schemas.errors import BrokenCatalogue  # noqa: PLC0415

    if processes > 1:
        command = [sys.executable, "-m", "console", "worker", "--stop-on-eof"]
        what = Supervision(command, processes, settings.drain_seconds)
        raise typer.Exit(asyncio.run(supervise(what, SystemClock())))
    if stop_on_eof:
        stop_when_closed(_STDIN)
    with (
        explained(KafkaFault, CommitterFailed, TopicsUnfit, NoSlot, MetricsNotShown, RestoreFailed),
        explained(BrokenCatalogue, UnfitLetterhead, BrokenRules, UnfitRelay, code=_WRONG),
        explained(TracingUnavailable, code=_WRONG),
    ):
        run_worker(settings)


@app.command()
def projector(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Empty the view first and make it anew from Kafka.")
    ] = False,
) -> None:
    """Keep the status view: what became of each mail, in a database. SIGTERM stops it."""
    keep_view(_long_running(), rebuild)


@app.command()
def exporter() -> None:
    """Show in seconds and records how far behind the workers are, also while none runs."""
    export(_long_running())


@topics_app.command("plan")
def topics_plan(
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Show what `apply` would do. Exit code 0: nothing, 2: something, 1: it cannot."""
    with explained(KafkaFault):
        raise typer.Exit(plan_topics(_settings(), as_json, print))


@topics_app.command("apply")
def topics_apply(
    grow: Annotated[
        bool, typer.Option("--grow", help="Allow more partitions: recipients change lanes.")
    ] = False,
) -> None:
    """Create topics that are missing and mend those that differ. Never deletes anything."""
    with explained(KafkaFault):
        raise typer.Exit(apply_topics(_settings(), grow, print))


@keys_app.command("new")
def keys_new(
    tenant: Annotated[
        str, typer.Argument(help="Whose mails the key's requests are, or the operator's name.")
    ],
    operator: Annotated[
        bool,
        typer.Option("--operator", help="An operator's key, in MAILCASCADE_OPERATOR_KEYS_FILE."),
    ] = False,
) -> None:
    """Make a key, add its hash to MAILCASCADE_API_KEYS_FILE (made if missing), print it once."""
    setting = f"MAILCASCADE_{'OPERATOR' if operator else 'API'}_KEYS_FILE"
    path = os.environ.get(setting)
    if not path:
        raise CommandFailed(f"set {setting} to the file that holds the keys' hashes", _WRONG)
    # Loaded here, so that other commands do not carry the web framework in their memory.
    from ingest.keys import BadTenantName, KeyFileError, add_key  # noqa: PLC0415

    with explained(BadTenantName, KeyFileError, OSError):
        print(add_key(Path(path), tenant))


@app.command("settings")
def show_settings(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    explaining: Annotated[
        bool, typer.Option("--explain", help="Print what each setting is for and may be.")
    ] = False,
) -> None:
    """Print what is in force and where it came from, secrets masked."""
    if explaining:
        print("\n\n".join(explain()))
        return
    rows = describe(_settings())
    if as_json:
        print(json.dumps([row._asdict() for row in rows], indent=2))
        return
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{row.name:<{width}}  {row.value or '-'}  ({row.origin})")


@app.command(context_settings=_PASS_ON, add_help_option=False)
def up(context: typer.Context) -> None:
    """Run the whole pipeline on this machine until Ctrl-C: Kafka, mail catcher, API, workers."""
    raise typer.Exit(_stack("up", context.args))


@app.command(context_settings=_PASS_ON, add_help_option=False)
def demo(context: typer.Context) -> None:
    """Post 200 signups to the whole pipeline and show what becomes of them, in under a minute."""
    raise typer.Exit(_stack("demo", context.args))


mail_commands.register(app)
dlt.register(app)
relay.register(app)
doctor.register(app)
template_preview.register(app)
switch_commands.register(app)


def _settings() -> Settings:
    return load_settings(os.environ)


def _long_running() -> Settings:
    settings = _settings()
    configure_logs(settings.log_level, sys.stderr)
    return settings


def _stack(name: str, arguments: list[str]) -> int:
    """Run a command of the development stack, which parses its own arguments.

    It is loaded only here: a deployment does not have what it needs.
    """
    try:
        commands = importlib.import_module("console.stack.commands")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("console."):
            raise
        raise CommandFailed(
            f"`mailcascade {name}` needs the module {error.name}, which comes with the extra "
            "`stack`: run `make setup` in a clone, or pip install mailcascade[stack]"
        ) from error
    stack = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    stack.command()(getattr(commands, name))
    code = stack(arguments, prog_name=f"mailcascade {name}", standalone_mode=False)
    return int(code or ExitCode.OK)
