"""Asks the status view, which blocks, without holding up the event loop or piling up questions."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar
from uuid import UUID

from consumers.status.reader import MailStatus, StatusPage, StatusQuery, StatusUnavailable
from ingest.problems import Kind, Refused, refused
from runtime.clock import Clock
from runtime.logs import get_logger

_log = get_logger("ingest")

T = TypeVar("T")

_THREADS: Final = 4
#: Questions that are being answered or wait for a thread.
_MOST_QUESTIONS: Final = 64
_ANSWER_SECONDS: Final = 8.0
_RETRY_ABSENT: Final = 10
_RETRY_BUSY: Final = 1


class Reading(Protocol):
    """What the API needs of the view; see `consumers.status.reader.StatusReader`."""

    def mail(self, event_id: UUID, now: int | None = None) -> MailStatus | None:
        """Return a mail with its history, None where the view does not know it."""

    def find(self, query: StatusQuery, now: int) -> StatusPage:
        """Return a page of mails, newest first."""

    def close(self) -> None:
        """Close its connections."""


class StatusView:
    """The view for one event loop. Its threads start with the first question."""

    def __init__(self, reader: Reading, clock: Clock, seconds: float = _ANSWER_SECONDS) -> None:
        self._reader = reader
        self._clock = clock
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_THREADS, "status-view")
        self._questions = 0
        self._away = False

    async def mail(self, event_id: UUID) -> MailStatus | None:
        """Return a mail with its history, None where the view does not know it.

        Raises:
            Refused: with 503 where the view cannot be asked.
        """
        return await self._ask(lambda: self._reader.mail(event_id, self._clock.now_ms()))

    async def find(self, query: StatusQuery) -> StatusPage:
        """Return a page of mails.

        Raises:
            Refused: with 503 where the view cannot be asked.
        """
        return await self._ask(lambda: self._reader.find(query, self._clock.now_ms()))

    def close(self) -> None:
        """Let go of the view; questions that wait are not asked any more."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._reader.close()

    async def _ask(self, question: Callable[[], T]) -> T:
        if self._questions >= _MOST_QUESTIONS:
            raise _unavailable("The status view has too many questions at once", _RETRY_BUSY)
        self._questions += 1
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._seconds):
                answer = await loop.run_in_executor(self._threads, question)
        except StatusUnavailable as error:
            self._tell_away(str(error))
            raise _unavailable("The status view cannot be read", _RETRY_ABSENT) from error
        except TimeoutError as error:
            raise _unavailable("The status view does not answer in time", _RETRY_ABSENT) from error
        finally:
            self._questions -= 1
        self._tell_back()
        return answer

    def _tell_away(self, reason: str) -> None:
        """Log why, once: the reason names hosts and files, which are nothing for clients."""
        if not self._away:
            self._away = True
            _log.warning("ingest.status_view_away", reason=reason)

    def _tell_back(self) -> None:
        if self._away:
            self._away = False
            _log.info("ingest.status_view_back")


def _unavailable(reason: str, retry_after_s: int) -> Refused:
    return refused(Kind.NO_STATUS, reason, {"Retry-After": str(retry_after_s)})
