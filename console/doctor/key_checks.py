"""The keys of the API and of its operators: whether they can be read, and who else can add some."""

import stat
from collections import Counter
from pathlib import Path
from typing import Final

from console.doctor.finding import Answer, Finding, Findings, Part, Unasked
from ingest.keys import Entry, KeyFileError, parse_keys
from runtime.setting_types import is_loopback
from runtime.settings import Settings

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def examine_keys(settings: Settings) -> list[Finding]:
    """Read the files of keys and return what is to be said of them."""
    findings = Findings(Part.KEYS)
    clients = _check_file(findings, "api keys", settings.api_keys_file, "mailcascade keys new")
    if settings.api_keys_file is None:
        if is_loopback(settings.http_host):
            findings.ok("api keys", "none: only this machine can reach the API")
        else:
            findings.fail(
                "api keys",
                f"others can reach {settings.http_host} and there are no keys: the API does not "
                "start",
                "MAILCASCADE_API_KEYS_FILE=FILE, and mailcascade keys new TENANT",
            )
    operators = _check_file(
        findings, "operator keys", settings.operator_keys_file, "mailcascade keys new --operator"
    )
    if settings.operator_keys_file is None:
        findings.ok("operator keys", "none: nobody deals with dead letters over HTTP")
    both = {entry.digest for entry in clients} & {entry.digest for entry in operators}
    if both:
        findings.warn(
            "operator keys",
            f"{len(both)} keys are a client's and an operator's at once",
            "mailcascade keys new NAME --operator, and remove the line of the old one",
        )
    return findings.all


def _check_file(
    findings: Findings, check: str, path: Path | None, command: str
) -> tuple[Entry, ...]:
    if path is None:
        return ()
    entries = _read(path)
    if isinstance(entries, Unasked):
        findings.fail(check, f"{path}: {entries.reason}; the API does not start", f"{command} NAME")
        return ()
    before = len(findings.all)
    if path.stat().st_mode & _OTHERS_WRITE:
        findings.warn(
            check, f"{path} can be written by others, who could add a key", f"chmod go-w {path}"
        )
    shared = [digest for digest, count in Counter(e.digest for e in entries).items() if count > 1]
    if shared:
        findings.warn(
            check,
            f"{path} has {len(shared)} keys more than once: only the last line of each counts",
            f"remove the others from {path}",
        )
    if len(findings.all) == before:
        names = len({entry.tenant for entry in entries})
        findings.ok(check, f"{len(entries)} of {names} names in {path}")
    return entries


def _read(path: Path) -> Answer[tuple[Entry, ...]]:
    try:
        return parse_keys(path.read_text(encoding="utf-8"))
    except KeyFileError as error:
        return Unasked(str(error))
    except UnicodeDecodeError:
        return Unasked("it is not UTF-8 text")
    except OSError as error:
        return Unasked(f"it cannot be read: {error.strerror}")
