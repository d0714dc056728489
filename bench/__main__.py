"""`python -m bench`: starts a Kafka, runs the benchmarks one after another, prints one table."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from bench import (
    distant,
    dlt,
    ingest,
    latency,
    ledger,
    ledger_cost,
    machine,
    projector,
    repeats,
    worker,
)
from bench.pipeline import BenchFailed, Site
from bench.postfix import find_programs
from bench.table import Row, Section, as_markdown, as_text
from console.stack.interrupts import Interrupts
from console.stack.kafka import (
    KAFKA_VERSION,
    BrokerFailed,
    JarsUnavailable,
    Kind,
    NoBroker,
    Placement,
    choose_rung,
    machine_probes,
    new_broker,
    prepare,
)
from console.stack.plan import kafka_environ
from console.stack.workplace import Workplace
from runtime.kafka.errors import KafkaFault
from runtime.logs import configure_logs
from runtime.settings import SettingsError, load_settings

_TITLES: Final = {
    "ingest": "Accepting: the API beside a route without work",
    "worker": "Sending: workers beside smtp-source, both into smtp-sink",
    "distant": "Distance: a worker with many connections to a relay that is far away",
    "latency": "Latency: one API process, one worker process",
    "ledger": "Restoring: the ledger of one lane",
    "ledger-cost": "Keeping the ledger: a worker beside one without a ledger, in turns",
    "repeats": "Repeating: siblings of one host that are killed under load",
    "projector": "Projecting: a backlog into an empty status view in SQLite",
    "dlt": "Dead letters: a topic of them sorted, planned and replayed",
}
#: What can be chosen; the ledger's part has three sections.
_PARTS: Final = ("ingest", "worker", "distant", "latency", "ledger", "projector", "dlt")
#: A connection that breaks is one of them: the process at its other end has failed.
_FAULTS: Final = (
    BenchFailed,
    BrokerFailed,
    EOFError,
    JarsUnavailable,
    KafkaFault,
    NoBroker,
    OSError,
    SettingsError,
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    parts: Sequence[str]
    quick: bool
    out: Path | None


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with a message where it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=list(_PARTS),
        help="run this part and leave out the others; may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="fewer mails, rougher figures")
    parser.add_argument("--out", type=Path, help="write the table to this file, too, as markdown")
    given = parser.parse_args(arguments)
    chosen = [part for part in _PARTS if given.only is None or part in given.only]
    return Options(chosen, given.quick, given.out)


def measures(
    options: Options, environ: Mapping[str, str]
) -> dict[str, Callable[[Site], list[Row]]]:
    """Return what is to be run by its name; raises PostfixMissing before anything is started."""
    mails = worker.QUICK_MAILS if options.quick else worker.MAILS
    far = distant.QUICK_MAILS if options.quick else distant.MAILS
    seconds = latency.QUICK_SECONDS if options.quick else latency.SECONDS
    entries = ledger.QUICK_ENTRIES if options.quick else ledger.ENTRIES
    rounds = ledger_cost.QUICK_ROUNDS if options.quick else ledger_cost.ROUNDS
    kills = repeats.QUICK_KILLS if options.quick else repeats.KILLS
    projected = projector.QUICK_MAILS if options.quick else projector.MAILS
    chosen: dict[str, Callable[[Site], list[Row]]] = {}
    if "ingest" in options.parts:
        chosen["ingest"] = _ingest
    if "worker" in options.parts:
        programs = find_programs(environ)
        chosen["worker"] = lambda site: worker.run(site, programs, mails)
    if "distant" in options.parts:
        chosen["distant"] = lambda site: distant.run(site, far)
    if "latency" in options.parts:
        chosen["latency"] = lambda site: latency.run(site, seconds)
    if "ledger" in options.parts:
        programs = find_programs(environ)
        chosen["ledger"] = lambda site: ledger.run(site, entries)
        chosen["ledger-cost"] = lambda site: ledger_cost.run(site, programs, rounds)
        chosen["repeats"] = lambda site: repeats.run(site, kills)
    if "projector" in options.parts:
        chosen["projector"] = lambda site: projector.run(site, projected)
    if "dlt" in options.parts:
        letters = dlt.QUICK_LETTERS if options.quick else dlt.LETTERS
        chosen["dlt"] = lambda site: dlt.run(site, letters)
    return chosen


def run(options: Options, interrupts: Interrupts, console: Console) -> None:
    """Measure and print; raises one of the faults that `main` explains."""
    environ = dict(os.environ)
    chosen = measures(options, environ)
    settings = load_settings(environ)
    rung = choose_rung(kafka_environ(environ, settings), machine_probes(environ))
    prepare(rung, environ, console.print)
    ours = rung.kind is not Kind.EXTERNAL
    described = machine.describe(f"Kafka {KAFKA_VERSION}" if ours else rung.description)
    console.print(described, markup=False, soft_wrap=True)
    sections = []
    with (
        Workplace() as workplace,
        workplace.kept_on_failure(console),
        new_broker(rung, Placement(workplace.directory / "kafka"), environ) as broker,
    ):
        site = Site(broker.bootstrap, workplace.directory, settings, interrupts)
        for name, measure in chosen.items():
            section = Section(_TITLES[name], measure(site))
            sections.append(section)
            console.print(f"\n{as_text([section])}", markup=False, soft_wrap=True)
    if options.out is not None:
        options.out.write_text(as_markdown(sections, described), encoding="utf-8")


def _ingest(site: Site) -> list[Row]:
    runner = asyncio.Runner()
    with site.interrupts.shielded(lambda: latency.cancel_all(runner.get_loop())), runner:
        return runner.run(ingest.run(site.bootstrap))


def main(arguments: Sequence[str]) -> int:
    """Run and return the exit code: 0, 1 with a message, 130 after Ctrl-C."""
    options = parse(arguments)
    configure_logs("error", sys.stderr)
    with Interrupts() as interrupts:
        try:
            run(options, interrupts, Console(highlight=False))
        except _FAULTS as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nInterrupted. Everything that was started has been stopped.", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
