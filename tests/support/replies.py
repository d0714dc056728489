"""Replies that were seen in the wild or that providers document, and what they may mean."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
#: Forty real replies, their meaning and their sources, as they were handed to the project.
SAMPLE = HERE / "smtp_replies.jsonl"


@dataclass(frozen=True, slots=True)
class KnownReply:
    """One reply, and the scopes, classes and actions that are right for it."""

    phase: str
    text: str
    provider: str | None
    scopes: frozenset[str]
    classes: frozenset[str]
    actions: frozenset[str] | None
    retry_after_s: int | None
    #: Nobody could tell what it means without knowing who says it.
    needs_profile: bool = False

    def __str__(self) -> str:
        return f"{self.provider} {self.phase} {self.text[:40]}"


def sampled_replies() -> list[KnownReply]:
    """The sample: real replies, each with the place where it was found and the reason why."""
    return [
        KnownReply(
            phase=line["phase"],
            text=line["reply"],
            provider=line["provider"],
            scopes=frozenset(line.get("accept_scope", [line["scope"]])),
            classes=frozenset(line.get("accept", [line["class"]])),
            actions=frozenset(line.get("accept_action", [line["action"]])),
            retry_after_s=line["retry_after_s"],
        )
        for line in _lines(SAMPLE.name)
    ]


def documented_replies() -> list[KnownReply]:
    """What providers and servers document, what operators report, or what servers are built to say.

    Collected from the pages of the providers, from the tables of sisimai, KumoMTA and ZoneMTA, from
    MailRoute's list of Postfix' replies, and from public threads. `relay_replies.jsonl` has more of
    submission services, of mailbox providers by country, and of servers, in their usual words.
    """
    return [
        KnownReply(
            phase=line["phase"],
            text=line["reply"],
            provider=line.get("provider"),
            scopes=frozenset(line["scopes"]),
            classes=frozenset(line["classes"]),
            actions=frozenset(line["actions"]) if line.get("actions") else None,
            retry_after_s=line["retry_after_s"],
            needs_profile=line.get("needs_profile", False),
        )
        for name in ("known_replies.jsonl", "provider_replies.jsonl", "relay_replies.jsonl")
        for line in _lines(name)
    ]


def _lines(name: str) -> Iterator[dict[str, Any]]:
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)
