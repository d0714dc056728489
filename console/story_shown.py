"""The story of a mail as people and programs see it; addresses are masked unless revealed."""

from typing import Any, Final

from console.mail_story import Step, Story, place_of
from console.trail import Trail
from runtime.trace_context import read_origin
from schemas.instants import show_instant, write_instant
from schemas.privacy import mask_address, mask_addresses

_INDENT: Final = " " * 26
#: Gaps that are shorter are not worth a line.
_GAP_MS: Final = 1_000


def story_lines(trail: Trail, story: Story, *, reveal: bool) -> list[str]:
    """Return a story as lines for a person."""
    due = "" if story.due_at is None else f", due {show_instant(story.due_at)}"
    used = f" after {_attempts(story.attempts)}" if story.attempts else ""
    rows = {name: value for name, value in _facts(trail, reveal).items() if value}
    lines = [f"{trail.mail.text}: {story.state}{used}{due}"]
    lines += [f"  {name:<11} {value}" for name, value in rows.items()]
    before: int | None = None
    for step in story.steps:
        if before is not None and step.at - before >= _GAP_MS:
            lines.append(f"  {duration(step.at - before)} later")
        before = step.at
        lines += _step_lines(step, reveal)
    return lines


def story_json(trail: Trail, story: Story, *, reveal: bool) -> dict[str, Any]:
    """Return a story for programs."""
    return {
        "id": trail.mail.text,
        "state": story.state.value,
        "attempts": story.attempts,
        "due_at": _instant(story.due_at),
        **{name.replace(" ", "_"): value or None for name, value in _facts(trail, reveal).items()},
        "records": [place_of(record) for record in trail.records],
        "steps": [_step_json(step, reveal) for step in story.steps],
    }


def duration(milliseconds: int) -> str:
    """Return a time as people say it, such as `9m 58s`; in whole seconds."""
    seconds = milliseconds // 1_000
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])


def _facts(trail: Trail, reveal: bool) -> dict[str, str]:
    event, suppression = trail.event, trail.suppression
    origins = (read_origin(record.headers) for record in trail.records)
    origin = next((context for context in origins if context is not None), None)
    facts = {"trace": "" if origin is None else origin.trace_id}
    if event is not None:
        address = event.recipient.address
        facts |= {
            "recipient": address if reveal else mask_address(address),
            "template": event.template,
            "tenant": event.tenant,
            "not before": "" if event.not_before is None else show_instant(event.not_before),
            "expires": "" if event.expires_at is None else show_instant(event.expires_at),
        }
    if suppression is not None:
        since = f"since {show_instant(suppression.at)}"
        facts["suppressed"] = f"{since}: {_masked(suppression.reason, reveal)}"
    return facts


def _step_lines(step: Step, reveal: bool) -> list[str]:
    about = f" ({', '.join(step.about)})" if any(step.about) else ""
    line = f"{write_instant(step.at):<{len(_INDENT)}}{step.what}"
    if said := _masked(step.text, reveal):
        line += f": {said}"
    notes = [
        f"goes to {step.to}" if step.to else "",
        f"due {show_instant(step.due_at)}" if step.due_at is not None else "",
        f"by {step.by}" if step.by else "",
        f"told by {step.place}" if step.place else "",
        f"trace {step.trace_id}" if step.trace_id else "",
    ]
    lines = [line + _masked(about, reveal)]
    if any(notes):
        lines.append(_INDENT + "; ".join(note for note in notes if note))
    return lines


def _step_json(step: Step, reveal: bool) -> dict[str, Any]:
    return {
        "at": write_instant(step.at),
        "what": step.what,
        "text": _masked(step.text, reveal) or None,
        "about": [_masked(word, reveal) for word in step.about if word],
        "by": step.by or None,
        "place": step.place or None,
        "to": step.to or None,
        "due_at": _instant(step.due_at),
        "trace_id": step.trace_id or None,
    }


def _attempts(number: int) -> str:
    return "1 failed attempt" if number == 1 else f"{number} failed attempts"


def _masked(text: str, reveal: bool) -> str:
    return text if reveal else mask_addresses(text)


def _instant(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else write_instant(instant_ms)
