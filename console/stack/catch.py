"""Asks the catcher's JSON what it has caught."""

from typing import Any, Final

import httpx2

from console.stack.tally import Caught

_PAGE: Final = 1_000
_TIMEOUT_SECONDS: Final = 10.0


class Catch:
    """A growing list of what was caught; each call fetches only what is new."""

    def __init__(self, page_url: str) -> None:
        self._client = httpx2.Client(base_url=page_url, timeout=_TIMEOUT_SECONDS)
        self.mails: list[Caught] = []

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()

    def refresh(self) -> None:
        """Fetch what was caught since the last call, each recipient on its own."""
        while True:
            after = self.mails[-1].number if self.mails else 0
            page = self._get("/api/mails", {"after": after, "limit": _PAGE})
            self.mails += [
                Caught(mail["number"], address, mail["received_at"])
                for mail in page
                for address in mail["to"]
            ]
            if len(page) < _PAGE:
                return

    def accepted(self) -> int:
        """Return how many mails it has taken since it started."""
        return int(self._get("/api/summary", {})["accepted"])

    def mail(self, number: int) -> dict[str, Any]:
        """Return one mail with its headers and bodies."""
        mail: dict[str, Any] = self._get(f"/api/mails/{number}", {})
        return mail

    def _get(self, path: str, query: dict[str, int]) -> Any:
        answer = self._client.get(path, params=query)
        answer.raise_for_status()
        return answer.json()
