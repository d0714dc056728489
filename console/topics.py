"""`mailcascade topics`: shows what the topics lack to be as they should, and mends it."""

import json
from collections.abc import Callable
from typing import Final

from console.failures import WOULD_CHANGE, CommandFailed, ExitCode
from retry_topics.provisioning import (
    Action,
    Configure,
    Conflict,
    Create,
    Grow,
    Plan,
    apply,
    survey,
    topic_of,
)
from retry_topics.topology import topology_of
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import client_properties
from runtime.settings import Settings

Print = Callable[[str], None]

_VERBS: Final[dict[type[Action], str]] = {
    Create: "create",
    Grow: "grow",
    Configure: "configure",
    Conflict: "conflict",
}


def plan_topics(settings: Settings, as_json: bool, show: Print) -> int:
    """Show the plan and return the exit code: 0 nothing to do, 2 would change, 1 conflict."""
    plan = _survey(settings, _admin(settings))
    if as_json:
        show(plan_json(plan))
    else:
        for line in plan_lines(plan):
            show(line)
    if plan.conflicts:
        return ExitCode.FAILED
    return WOULD_CHANGE if plan.actions else ExitCode.OK


def apply_topics(settings: Settings, grow: bool, show: Print) -> int:
    """Carry out the plan and show each step; nothing at all where the plan has a conflict.

    Raises:
        CommandFailed: the plan needs a person, or a permission that was not given.
    """
    admin = _admin(settings)
    plan = _survey(settings, admin)
    if plan.conflicts:
        conflicts = "\n".join(action_line(action) for action in plan.conflicts)
        raise CommandFailed(f"nothing was changed, because these need a person:\n{conflicts}")
    if plan.grows and not grow:
        topics = "\n".join(action_line(action) for action in plan.grows)
        raise CommandFailed(
            "nothing was changed. With more partitions recipients move to other lanes, and a mail "
            "that is under way can be overtaken by a later one.\nStop the workers, let the tiers "
            f"run empty, and repeat with --grow:\n{topics}"
        )
    apply(plan, admin, lambda action: show(action_line(action)))
    show(f"{len(plan.actions)} changes made" if plan.actions else "nothing to do")
    return ExitCode.OK


def plan_lines(plan: Plan) -> list[str]:
    """Return a plan as lines for a person."""
    lines = [action_line(action) for action in plan.actions]
    lines += [f"{name}: no tier any more, nobody reads it; left alone" for name in plan.orphans]
    if plan.conflicts:
        lines.append(f"{len(plan.conflicts)} conflicts need a person; apply would change nothing")
    elif plan.actions:
        lines.append(f"{len(plan.actions)} changes to make: mailcascade topics apply")
    else:
        lines.append("nothing to do")
    return lines


def plan_json(plan: Plan) -> str:
    """Return a plan as JSON for a program."""
    actions = [
        {"topic": topic_of(action), "action": _VERBS[type(action)], "detail": str(action)}
        for action in plan.actions
    ]
    return json.dumps({"actions": actions, "orphans": list(plan.orphans)}, indent=2)


def action_line(action: Action) -> str:
    """Return one action as a line."""
    return f"{topic_of(action)}: {_VERBS[type(action)]}: {action}"


def _admin(settings: Settings) -> TopicAdmin:
    return TopicAdmin(client_properties(settings, role="topics"))


def _survey(settings: Settings, admin: TopicAdmin) -> Plan:
    try:
        return survey(topology_of(settings), settings.replication_factor, admin)
    except ValueError as error:
        raise CommandFailed(str(error), ExitCode.WRONG_SETTING) from error
