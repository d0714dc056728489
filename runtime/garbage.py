"""The collector of cycles, told what a process that has begun is like."""

import gc
from typing import Final

_THRESHOLDS: Final = (50_000, 20, 50)


def spare_collections() -> None:
    """Keep what the process is made of out of garbage collections, and make them rarer.

    A request or a mail leaves no cycles behind, so looking for them every 700 objects, among all
    that was imported, is a waste. To be called once everything is built.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
