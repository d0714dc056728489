"""`mailcascade doctor` visits relays as a worker does."""

import asyncio
from datetime import timedelta
from pathlib import Path

from console.doctor.finding import Finding, Level
from console.doctor.relay_checks import examine_relays
from runtime.clock import SystemClock
from runtime.settings import load_settings
from tests.support.certificates import Authority
from tests.support.smtp_server import ScriptedServer


async def _examined(tmp_path: Path, urls: str) -> list[Finding]:
    settings = load_settings({"HOME": str(tmp_path), "MAILCASCADE_SMTP_URL": urls})
    return await asyncio.to_thread(examine_relays, settings, SystemClock())


async def test_relays_are_visited_and_no_mail_is_sent(authority: Authority, tmp_path: Path) -> None:
    """One that works, one whose certificate nears its end, and one that nobody runs any more."""
    fresh = authority.issue(lifetime=timedelta(days=90)).context()
    old = authority.issue(lifetime=timedelta(days=3, hours=1)).context()
    trusted = f"?ca={authority.file}"
    async with (
        ScriptedServer(("AUTH PLAIN",), tls=fresh) as works,
        ScriptedServer(("AUTH PLAIN",), tls=old, implicit_tls=True) as ending,
        ScriptedServer() as gone,
    ):
        urls = [
            works.url("smtp+starttls", "app:secret", trusted),
            ending.url("smtps", "app:secret", trusted),
            gone.url(),
        ]
        found = await _examined(tmp_path, " ".join(urls[:2]))

        assert [one.level for one in found] == [Level.OK, Level.WARN]
        assert "the login works" in found[0].what
        assert "ends in 3 days" in found[1].what
        assert works.mails == ending.mails == []
    out = await _examined(tmp_path, urls[2])

    assert [one.level for one in out] == [Level.FAIL]
    assert out[0].what.startswith("connect:")


async def test_a_url_that_cannot_be_used_is_a_failure(tmp_path: Path) -> None:
    """As a worker that does not start says it."""
    url = f"smtps://relay.example.com?ca={tmp_path / 'none.pem'}"

    (found,) = await _examined(tmp_path, url)

    assert found.level is Level.FAIL
    assert "none.pem" in found.what
