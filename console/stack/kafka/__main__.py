"""`python -m console.stack.kafka prepare`: gets this machine ready to start a broker."""

import os
import sys

from console.stack.kafka import (
    JarsUnavailable,
    NoBroker,
    choose_rung,
    machine_probes,
    prepare,
)


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 ready, 1 impossible here, 2 wrong usage."""
    if arguments != ["prepare"]:
        print("usage: python -m console.stack.kafka prepare", file=sys.stderr)
        return 2
    try:
        rung = choose_rung(os.environ, machine_probes(os.environ))
        prepare(rung, os.environ, announce=lambda text: print(text, flush=True))
    except (NoBroker, JarsUnavailable) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Kafka: {rung.description}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
