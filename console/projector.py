"""`mailcascade projector`: keeps the status view."""

from console.failures import ExitCode, explained
from runtime.kafka.errors import KafkaFault
from runtime.metrics import MetricsNotShown
from runtime.settings import Settings


def keep_view(settings: Settings, rebuild: bool) -> None:
    """Run the projector until it is stopped; its faults are explained.

    Raises:
        CommandFailed: it cannot go on.
    """
    # Loaded here, so that other commands do not carry the database in their memory.
    from consumers.status.database import UnusableUrl  # noqa: PLC0415
    from consumers.status.serve import run_projector  # noqa: PLC0415
    from consumers.status.store import ViewFault  # noqa: PLC0415

    with (
        explained(ViewFault, KafkaFault, MetricsNotShown, OSError),
        explained(UnusableUrl, code=ExitCode.WRONG_SETTING),
    ):
        run_projector(settings, rebuild)
