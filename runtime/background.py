"""Work on threads that a process which ends does not wait for."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def begun(work: Callable[[], T], name: str) -> "Future[T]":
    """Begin something on a thread of its own; what comes of it, or goes wrong, is in the future.

    It cannot be cancelled.
    """
    promise: Future[T] = Future()
    promise.set_running_or_notify_cancel()

    def run() -> None:
        try:
            promise.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            promise.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return promise
