"""Issuing keys on the command line."""

import os
import subprocess
import sys
from pathlib import Path

from ingest.keys import find_tenant, parse_keys


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    own = {**{k: v for k, v in os.environ.items() if not k.startswith("MAILCASCADE_")}, **environ}
    command = [sys.executable, "-m", "console", "keys", *arguments]
    return subprocess.run(command, env=own, capture_output=True, text=True, check=False)


def test_a_new_key_is_printed_once_and_its_hash_kept(tmp_path: Path) -> None:
    """The file that is made holds no key, and the printed key is the tenant's."""
    path = tmp_path / "keys"
    done = run("new", "acme", MAILCASCADE_API_KEYS_FILE=str(path))
    key = done.stdout.strip()
    assert done.returncode == 0
    assert key not in path.read_text()
    assert find_tenant(key, parse_keys(path.read_text())) == "acme"


def test_without_a_file_it_says_which_setting_names_it() -> None:
    """A missing setting is an exit code 2 and names itself."""
    done = run("new", "acme")
    assert done.returncode == 2
    assert "MAILCASCADE_API_KEYS_FILE" in done.stderr


def test_a_tenant_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    """Nothing is written for a bad name."""
    path = tmp_path / "keys"
    done = run("new", "not a tenant", MAILCASCADE_API_KEYS_FILE=str(path))
    assert done.returncode == 1
    assert not path.exists()


def test_an_operator_s_key_goes_into_the_operators_file(tmp_path: Path) -> None:
    """It has a setting of its own, so that no tenant becomes an operator by accident."""
    path = tmp_path / "operators"
    done = run("new", "ada", "--operator", MAILCASCADE_OPERATOR_KEYS_FILE=str(path))
    assert find_tenant(done.stdout.strip(), parse_keys(path.read_text())) == "ada"
    done = run("new", "ada", "--operator", MAILCASCADE_API_KEYS_FILE=str(path))
    assert (done.returncode, "MAILCASCADE_OPERATOR_KEYS_FILE" in done.stderr) == (2, True)
