"""The `mailcascade` command as a tree: whether words name a command, and what it takes."""

from collections.abc import Callable, Sequence

import typer
from typer.core import TyperCommand, TyperGroup

from console import cli
from console.stack import commands

#: These parse their arguments themselves, so that a deployment need not load them.
_OF_THE_STACK: dict[str, Callable[..., int]] = {"up": commands.up, "demo": commands.demo}


class NoCommand(LookupError):
    """The words name no command."""


def find_command(words: Sequence[str]) -> tuple[TyperCommand | TyperGroup, list[str]]:
    """Return the command that the words begin with, and the words after its name.

    Raises:
        NoCommand: there is none, or only a group of commands that does nothing by itself.
    """
    command: object = typer.main.get_command(cli.app)
    rest = list(words)
    while isinstance(command, TyperGroup):
        if not rest or rest[0] not in command.commands:
            if command.invoke_without_command and (not rest or rest[0].startswith("-")):
                return command, rest
            raise NoCommand(f"mailcascade {' '.join(words)}")
        command = command.commands[rest.pop(0)]
    if words[0] in _OF_THE_STACK:
        app = typer.Typer()
        app.command()(_OF_THE_STACK[words[0]])
        command = typer.main.get_command(app)
    if not isinstance(command, TyperCommand):
        raise NoCommand(f"mailcascade {' '.join(words)}")
    return command, rest


def unknown_options(words: Sequence[str]) -> set[str]:
    """Return the options among the words that their command does not have."""
    command, rest = find_command(words)
    known = {"--help", *(name for parameter in command.params for name in parameter.opts)}
    return {word.partition("=")[0] for word in rest if word.startswith("--")} - known
