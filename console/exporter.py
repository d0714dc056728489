"""`mailcascade exporter`: shows how far behind the workers are."""

from console.failures import CommandFailed, ExitCode, explained
from runtime.kafka.errors import KafkaFault
from runtime.metrics import MetricsNotShown
from runtime.settings import Settings


def export(settings: Settings) -> None:
    """Run the exporter until it is stopped; its faults are explained.

    Raises:
        CommandFailed: it cannot show anything.
    """
    if settings.metrics_port is None:
        raise CommandFailed(
            "the exporter does nothing but show metrics: set MAILCASCADE_METRICS_PORT to its port",
            ExitCode.WRONG_SETTING,
        )
    # Loaded here, so that other commands do not carry it in their memory.
    from consumers.exporter.serve import run_exporter  # noqa: PLC0415

    with explained(KafkaFault, MetricsNotShown):
        run_exporter(settings, settings.metrics_port)
