"""What stops the service before it starts: the message names the setting and what to do."""

from pathlib import Path
from uuid import uuid4

import pytest

from ingest.keys import DEFAULT_TENANT, hash_key
from ingest.serve import authenticator, bind, encoder, run
from runtime.settings import Settings, SettingsError, load_settings
from schemas.codec import encode
from schemas.errors import RegistryUnavailable
from schemas.events import Recipient, SignupEvent
from tests.support.clock import ManualClock

EVERYWHERE = "0.0.0.0"  # noqa: S104 - a setting under test, nothing listens there


def with_settings(tmp_path: Path, **environ: str) -> Settings:
    named = {f"MAILCASCADE_{name}": value for name, value in environ.items()}
    return load_settings({"HOME": str(tmp_path), **named})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_loopback_address_needs_no_keys(tmp_path, host):
    """Everybody on this machine is the default tenant."""
    settings = with_settings(tmp_path, HTTP_HOST=host)
    assert authenticator(settings, ManualClock()).tenant(None) == DEFAULT_TENANT


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.1", "mail.example.com"])
def test_another_address_without_keys_is_refused(tmp_path, host):
    """With both ways out in the message."""
    with pytest.raises(SettingsError) as caught:
        run(with_settings(tmp_path, HTTP_HOST=host))
    message = str(caught.value)
    assert message.startswith(f"MAILCASCADE_HTTP_HOST={host}")
    assert "MAILCASCADE_API_KEYS_FILE" in message
    assert "127.0.0.1" in message


def test_another_address_with_keys_is_fine(tmp_path):
    """Whoever has a key may come from anywhere."""
    keys = tmp_path / "keys"
    keys.write_text(f"shop:{hash_key('k')}")
    settings = with_settings(tmp_path, HTTP_HOST=EVERYWHERE, API_KEYS_FILE=str(keys))
    assert authenticator(settings, ManualClock()).tenant("Bearer k") == "shop"


def test_a_bad_keys_file_is_a_wrong_setting(tmp_path):
    """It names the file and the line."""
    keys = tmp_path / "keys"
    keys.write_text("shop")
    with pytest.raises(SettingsError, match=r"MAILCASCADE_API_KEYS_FILE=.*line 1"):
        run(with_settings(tmp_path, API_KEYS_FILE=str(keys)))


def test_a_taken_port_is_a_wrong_setting(tmp_path):
    """It names the address."""
    with bind(with_settings(tmp_path, HTTP_PORT="0")) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}: Address already in use"):
            bind(with_settings(tmp_path, HTTP_PORT=str(port)))


def test_a_registry_that_does_not_answer_is_not_a_reason_to_leave_it_out(tmp_path):
    """It is asked again for a while; readers of Confluent's framing would lose every event."""
    waits: list[float] = []
    with bind(with_settings(tmp_path, HTTP_PORT="0")) as silent:
        port = silent.getsockname()[1]
        silent.close()
        settings = with_settings(tmp_path, SCHEMA_REGISTRY_URL=f"http://127.0.0.1:{port}")
        with pytest.raises(RegistryUnavailable) as caught:
            encoder(settings, waits.append)
    assert waits == [0.5, 1, 2, 4, 8]
    assert "\n" not in str(caught.value)


def test_with_a_registry_events_are_framed_with_its_schema_id(tmp_path):
    """It is asked once, at the start."""
    in_process = {"schema_registry_url": "mock://ingest"}
    settings = with_settings(tmp_path).model_copy(update=in_process)
    event = SignupEvent(uuid4(), 1, "plain", Recipient("a@example.com"), "en", {}, "shop")
    framed = encoder(settings, pytest.fail)(event)
    assert framed[5:] == encode(event)[10:]
    assert framed.startswith(b"\x00")
