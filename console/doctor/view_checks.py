"""The status view: whether its database answers, and whether a projector keeps it.

Mails go out without it, so little of this is a failure.
"""

from typing import Final

from console.doctor.finding import Answer, Finding, Findings, Part, Unasked
from console.doctor.view_facts import ViewFacts
from consumers.status.sources import check_source
from consumers.status.store import OtherSource, Source
from consumers.status.upgrade import TablesAre

_PROJECTOR: Final = "mailcascade projector"
#: A projector writes every second; without a write for so long, none runs.
_SILENT_MS: Final = 15_000
#: Records that a projector may have before it that are not worth a word.
_BEHIND: Final = 10_000


def check_view(
    view: Answer[ViewFacts], there: Answer[Source] | None, place: str, now_ms: int
) -> list[Finding]:
    """Return what is to be said of a view at `place`; `there` is what Kafka has, where asked."""
    findings = Findings(Part.DATABASE)
    if isinstance(view, Unasked):
        findings.warn(
            "database",
            f"{place or 'it'} cannot be used: {view.reason}; mails go out, and nobody can ask what "
            "became of them",
            "is the server up, and is MAILCASCADE_DATABASE_URL right?",
        )
        return findings.all
    if view.tables is TablesAre.NEWER:
        findings.fail(
            "migrations",
            f"the tables at {place} are of a later release: no projector of this one starts",
            "run the later release",
        )
        return findings.all
    if view.tables is TablesAre.MISSING:
        findings.warn("migrations", f"there is no view at {place} yet", _PROJECTOR)
        return findings.all
    if view.tables is TablesAre.OLDER:
        what = f"the tables at {place} are of an earlier release"
        findings.warn("migrations", what, f"restart {_PROJECTOR}")
        return findings.all
    findings.ok("migrations", f"the tables at {place} are those of this release")
    _check_source(findings, view, there)
    if not view.key_fits:
        findings.warn(
            "status key",
            "the view was made with another MAILCASCADE_STATUS_KEY: no recipient is found",
            f"the key that it was made with, or {_PROJECTOR} --rebuild",
        )
    _check_freshness(findings, view, now_ms)
    return findings.all


def _check_source(findings: Findings, view: ViewFacts, there: Answer[Source] | None) -> None:
    if view.source is None or there is None or isinstance(there, Unasked):
        return
    try:
        check_source(view.source, there)
    except OtherSource as error:
        findings.fail("source", str(error), f"{_PROJECTOR} --rebuild")


def _check_freshness(findings: Findings, view: ViewFacts, now_ms: int) -> None:
    if view.projected_at is None:
        findings.warn("projector", "none has written to the view yet", _PROJECTOR)
        return
    silent_s = (now_ms - view.projected_at) // 1000
    if now_ms - view.projected_at > _SILENT_MS:
        findings.warn(
            "projector", f"none has written to the view for {silent_s} s", f"start {_PROJECTOR}"
        )
    elif (view.behind or 0) > _BEHIND:
        findings.warn(
            "projector",
            f"it is {view.behind} records behind",
            "wait, or look at its log and at the database's load",
        )
    else:
        findings.ok("projector", f"it writes, and is {view.behind or 0} records behind")
