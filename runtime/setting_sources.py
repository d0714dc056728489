"""Where raw settings come from: the environment, secret files, and one configuration file.

Nothing here knows what a value means; that is `runtime.settings`.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PREFIX: Final = "MAILCASCADE_"
CONFIG_NAME: Final = f"{PREFIX}CONFIG"
_FILE_SUFFIX: Final = "_FILE"
_LINE: Final = re.compile(r"\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*?)\s*")


@dataclass(frozen=True, slots=True)
class RawSetting:
    """A value as it was written, and where: `environment`, `file PATH` or `secret file PATH`."""

    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """What is wrong with one setting. `value` is masked if it may hold a secret, None if unset."""

    name: str
    value: str | None
    reason: str

    def __str__(self) -> str:
        shown = self.name if self.value is None else f"{self.name}={self.value}"
        return f"{shown}: {self.reason}"


@dataclass(slots=True)
class Collected:
    """Raw settings by full name, and what was wrong on the way."""

    settings: dict[str, RawSetting] = field(default_factory=dict)
    problems: list[SettingProblem] = field(default_factory=list)


def collect(environ: Mapping[str, str], names: Collection[str]) -> Collected:
    """Gather every setting that is set. The environment wins over the configuration file.

    `names` are the full names there are. In each source a setting is given by its name or by its
    name with `_FILE`, whose value is then the path of a file to read; both at once is a problem.
    """
    collected = Collected()
    config = environ.get(CONFIG_NAME)
    if config:
        entries = _read_config(Path(config), collected.problems)
        _take(entries, f"file {config}", names, collected)
    ours = {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name != CONFIG_NAME
    }
    _take(ours, "environment", names, collected)
    return collected


def _take(
    entries: Mapping[str, str], origin: str, names: Collection[str], collected: Collected
) -> None:
    for written, value in entries.items():
        name = written if written in names else written.removesuffix(_FILE_SUFFIX)
        if name not in names:
            collected.problems.append(_unknown(written, origin, names))
        elif name == written:
            collected.settings[name] = RawSetting(value, origin)
        elif name in entries:
            reason = f"{name} is set as well ({origin}); set one of the two"
            collected.problems.append(SettingProblem(written, value, reason))
        else:
            _take_secret(written, name, value, collected)


def _take_secret(written: str, name: str, path: str, collected: Collected) -> None:
    try:
        value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = f"the file cannot be read: {_why(error)}"
        collected.problems.append(SettingProblem(written, path, reason))
    else:
        collected.settings[name] = RawSetting(value, f"secret file {path}")


def _unknown(written: str, origin: str, names: Collection[str]) -> SettingProblem:
    near = difflib.get_close_matches(written, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "`mailcascade settings` lists those there are"
    return SettingProblem(written, None, f"there is no such setting ({origin}); {hint}")


def _read_config(path: Path, problems: list[SettingProblem]) -> dict[str, str]:
    """Return the entries of a file of `NAME=VALUE` lines, `#` comments and blank lines.

    A value may stand in matching quotes; nothing inside it is expanded.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = f"the file cannot be read: {_why(error)}"
        problems.append(SettingProblem(CONFIG_NAME, str(path), reason))
        return {}
    entries: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            reason = f"line {number} is not NAME=VALUE, a # comment or blank"
            problems.append(SettingProblem(CONFIG_NAME, str(path), reason))
        elif match["name"] in entries:
            reason = f"line {number} sets {match['name']} a second time"
            problems.append(SettingProblem(CONFIG_NAME, str(path), reason))
        else:
            entries[match["name"]] = _unquoted(match["value"])
    return entries


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _why(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
