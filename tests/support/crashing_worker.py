"""A worker that kills itself at one step of its n-th transaction: python -m ... STEP NUMBER."""

import os
import signal
import sys

from consumers.serve import run_worker
from runtime.kafka.transactions import CommitStep
from runtime.logs import configure_logs
from runtime.settings import load_settings


def main(step: str, number: int) -> None:
    """Run until the step comes about for the n-th time, then SIGKILL."""
    fatal = CommitStep(step)
    seen = 0

    def checkpoint(reached: CommitStep) -> None:
        nonlocal seen
        seen += reached is fatal
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    configure_logs("info", sys.stderr)
    run_worker(load_settings(os.environ), checkpoint)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
