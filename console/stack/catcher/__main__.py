"""`python -m console.stack.catcher`: the catcher as a process of its own."""

import argparse
import asyncio
import logging
import sys

from console.stack.catcher.script import RULES
from console.stack.catcher.server import CatcherOptions, running
from console.stack.catcher.store import DEFAULT_LIMIT
from console.stack.ports import HOST
from runtime.lifecycle import StopSignal


def main(arguments: list[str]) -> int:
    """Catch mails until SIGTERM or Ctrl-C; return the exit code."""
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    options = CatcherOptions(parsed.smtp_port, parsed.http_port, parsed.keep)
    try:
        asyncio.run(_run(options))
    except OSError as error:
        print(f"the catcher cannot listen: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(options: CatcherOptions) -> None:
    async with StopSignal() as stop, running(options) as catcher:
        print(f"SMTP on {HOST}:{catcher.listener.port}", flush=True)
        if options.http_port is not None:
            print(f"Caught mails on http://{HOST}:{options.http_port}", flush=True)
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    rules = "\n".join(f"  +{rule.tag:<10} {rule.meaning}" for rule in RULES)
    parser = argparse.ArgumentParser(
        prog="python -m console.stack.catcher",
        description="Catches mails on a loopback port and shows them on a web page.",
        epilog=f"An address with one of these tags, such as ada+bounce@example.com:\n{rules}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--smtp-port", type=int, default=2525)
    parser.add_argument("--http-port", type=int, default=8025)
    parser.add_argument("--keep", type=int, default=DEFAULT_LIMIT, help="mails kept in memory")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
