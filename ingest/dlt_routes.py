"""The endpoints for operators about dead-lettered mails: the verbs of `mailcascade dlt`."""

import json
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ingest import bodies, dlt_documentation
from ingest.bodies import JSON, NDJSON
from ingest.dlt_office import Office
from ingest.dlt_payloads import (
    parse_discard,
    parse_export,
    parse_import,
    parse_limit,
    parse_replay,
    parse_reveal,
    parse_selection,
)
from ingest.dlt_transfer import MOST_IMPORT_BYTES, exported_lines, rows_of
from ingest.door import Door
from ingest.meters import Meters
from ingest.problems import FieldProblem, Kind, invalid, refused
from ingest.routes import Api, answering
from retry_topics.dlt.desk import Desk
from retry_topics.dlt.importing import ImportRefused
from retry_topics.dlt.plan import Plan
from retry_topics.dlt.told import groups_told, job_told, letter_told, plan_told, whole_told
from schemas.dlt_journal import parse_position
from schemas.identity import parse_mail_id
from schemas.replay_jobs import ENDED, ReplayJob

PATH: Final = "/v1/dlt"
#: What is told is about people, and old a moment later.
_HEADERS: Final = {"Cache-Control": "no-store"}
_MOST_BODY: Final = 1_048_576
_OFF: Final = (
    "The endpoints for operators are off: MAILCASCADE_OPERATOR_KEYS_FILE turns them on, a file of "
    "NAME:SHA256 lines"
)


@dataclass(frozen=True, slots=True)
class Operators:
    """Who may use the endpoints, and where their work is done."""

    door: Door
    office: Office


class DltRoutes:
    """Answers operators; without any nobody is let in."""

    def __init__(self, operators: Operators | None) -> None:
        self._operators = operators

    def serve_on(self, app: Api, meters: Meters) -> None:
        """Add the routes to an application."""
        for method, path, handler, description in (
            ("GET", "/groups", self.groups, dlt_documentation.groups()),
            ("GET", "/letters", self.letters, dlt_documentation.letters()),
            ("GET", "/letters/{name}", self.letter, dlt_documentation.letter()),
            ("POST", "/plans", self.plan, dlt_documentation.plan()),
            ("POST", "/jobs", self.replay, dlt_documentation.replay()),
            ("GET", "/jobs", self.jobs, dlt_documentation.jobs()),
            ("GET", "/jobs/{id}", self.job, dlt_documentation.job()),
            ("POST", "/jobs/{id}/pause", self.pause, dlt_documentation.pause()),
            ("POST", "/jobs/{id}/resume", self.resume, dlt_documentation.resume()),
            ("POST", "/jobs/{id}/cancel", self.cancel, dlt_documentation.cancel()),
            ("POST", "/discards", self.discard, dlt_documentation.discard()),
            ("GET", "/export", self.export, dlt_documentation.export()),
            ("POST", "/import", self.import_rows, dlt_documentation.import_rows()),
        ):
            whole = PATH + path
            app.serve(
                method, whole, answering(whole, handler, meters, of_events=False), description
            )

    async def groups(self, request: Request) -> Response:
        """Count dead-lettered mails by what they died of."""
        office, by = self._let_in(request)
        selection, _ = parse_selection(request.query_params.multi_items())
        return _answer(groups_told(await office.ask(by, lambda desk: desk.groups(selection))))

    async def letters(self, request: Request) -> Response:
        """List dead-lettered mails, the newest first."""
        office, by = self._let_in(request)
        parameters = request.query_params.multi_items()
        selection, more = parse_selection(parameters, ("limit", "reveal"))
        limit, reveal = parse_limit(more.get("limit")), parse_reveal(more.get("reveal"))
        found = await office.ask(by, lambda desk: desk.letters(selection, limit))
        return _answer({"letters": [letter_told(*one, reveal) for one in found]})

    async def letter(self, request: Request) -> Response:
        """Tell everything about one record, or about every record of a mail."""
        office, by = self._let_in(request)
        name = request.path_params["name"]
        reveal = parse_reveal(request.query_params.get("reveal"))
        try:
            (parse_position if ":" in name else parse_mail_id)(name)
        except ValueError as error:
            raise refused(Kind.NOT_FOUND, str(error)) from error

        def work(desk: Desk) -> list[dict[str, Any]]:
            return [
                whole_told(one, desk.standing(one.letter), desk.archive.codec, reveal)
                for one in desk.find(name)
            ]

        told = await office.ask(by, work)
        if not told:
            raise refused(Kind.NOT_FOUND, "There is no such record on the dead-letter topic")
        return _answer({"letters": told})

    async def plan(self, request: Request) -> Response:
        """Tell what a replay would do, and keep it as a job that can be resumed: 201."""
        office, by = self._let_in(request)
        replay = parse_replay(await self._body(request))

        def work(desk: Desk) -> dict[str, Any]:
            job = desk.order(replay.selection, replay.edit, replay.pace, replay.reason)
            return _planned(desk, job)

        told = await office.ask(by, work)
        return _answer(told, 201, f"{PATH}/jobs/{told['plan']}")

    async def replay(self, request: Request) -> Response:
        """Begin a replay in the background: 202 once it is in the journal."""
        office, by = self._let_in(request)
        replay = parse_replay(await self._body(request))

        def work(desk: Desk) -> ReplayJob:
            job = desk.order(replay.selection, replay.edit, replay.pace, replay.reason)
            return desk.save(job, Plan())

        job = await office.ask(by, work)
        office.start(by, job.id)
        return self._job_answer(office, job, 202)

    async def jobs(self, request: Request) -> Response:
        """List jobs and saved plans, the newest first."""
        office, by = self._let_in(request)
        found = await office.ask(by, lambda desk: desk.jobs())
        return _answer({"jobs": [_told(office, job) for job in found]})

    async def job(self, request: Request) -> Response:
        """Tell how far a job is."""
        office, by = self._let_in(request)
        job = await self._found(request, office, by)
        return self._job_answer(office, await office.ask(by, lambda desk: desk.by_now(job)), 200)

    async def pause(self, request: Request) -> Response:
        """Let a job pause that this process runs: 202."""
        office, by = self._let_in(request)
        job = await self._found(request, office, by)
        if not office.pause(job.id):
            where = f"{job.owner} runs it" if job.owner else f"it is {job.state}"
            raise refused(Kind.CONFLICT, f"{job.id}: does not run here; {where}")
        return self._job_answer(office, job, 202)

    async def resume(self, request: Request) -> Response:
        """Run a saved plan, or go on with a job, in the background: 202."""
        office, by = self._let_in(request)
        job = await self._found(request, office, by)
        if job.edit.transform is not None:
            detail = f"{job.id}: has a transformation, which only `mailcascade dlt resume` runs"
            raise refused(Kind.CONFLICT, detail)
        if job.state in ENDED:
            raise refused(Kind.CONFLICT, f"{job.id}: is {job.state}; begin a new replay")
        office.start(by, job.id)
        return self._job_answer(office, job, 202)

    async def cancel(self, request: Request) -> Response:
        """Call a job off: what it has not replayed is open again."""
        office, by = self._let_in(request)
        job = await self._found(request, office, by)
        await office.paused(job.id)
        job = await office.ask(by, lambda desk: desk.cancel(desk.job(job.id)))
        return self._job_answer(office, job, 200)

    async def discard(self, request: Request) -> Response:
        """Settle open records without a replay."""
        office, by = self._let_in(request)
        selection, reason = parse_discard(await self._body(request))
        done, selected = await office.ask(by, lambda desk: desk.discard(selection, reason))
        return _answer({"discarded": done, "selected": selected})

    async def export(self, request: Request) -> Response:
        """Tell records whole, a line of JSON for each, as many as there are."""
        office, by = self._let_in(request)
        selection = parse_export(request.query_params.multi_items())
        lines = await office.stream(by, lambda desk: exported_lines(desk, selection))
        return StreamingResponse(lines, headers=_HEADERS, media_type=NDJSON[0])

    async def import_rows(self, request: Request) -> Response:
        """Replay exported records as the body has them: 202, or 201 where they are only planned."""
        office, by = self._let_in(request)
        replay, only_plan = parse_import(request.query_params.multi_items())
        body = await self._body(request, NDJSON, MOST_IMPORT_BYTES)

        def work(desk: Desk) -> tuple[ReplayJob, dict[str, Any] | None]:
            job = desk.order(replay.selection, replay.edit, replay.pace, replay.reason)
            job = desk.take_rows(job, rows_of(body))
            return job, _planned(desk, job) if only_plan else None

        try:
            job, told = await office.ask(by, work)
        except ImportRefused as error:
            raise invalid([FieldProblem("", line) for line in str(error).splitlines()]) from error
        if told is not None:
            return _answer(told, 201, f"{PATH}/jobs/{job.id}")
        office.start(by, job.id)
        return self._job_answer(office, job, 202)

    def _let_in(self, request: Request) -> tuple[Office, str]:
        """Return the office, and the name of the operator whose request it is.

        Raises:
            Refused: with 403 where there are no operators, with 401 where it is none of them.
        """
        if self._operators is None:
            raise refused(Kind.OFF, _OFF)
        return self._operators.office, self._operators.door.tenant(request)

    async def _body(
        self, request: Request, media: tuple[str, ...] = (JSON,), most: int = _MOST_BODY
    ) -> bytes:
        headers = bodies.read_headers(request)
        bodies.media_type(headers, media)
        seconds = 0.0 if self._operators is None else self._operators.door.body_seconds
        return await bodies.read(request, headers, most, seconds)

    async def _found(self, request: Request, office: Office, by: str) -> ReplayJob:
        name = request.path_params["id"]
        job = await office.ask(by, lambda desk: desk.archive.job(name))
        if job is None:
            raise refused(Kind.NOT_FOUND, f"There is no job {name[:80]}")
        return job

    def _job_answer(self, office: Office, job: ReplayJob, status: int) -> Response:
        return _answer(_told(office, job), status, f"{PATH}/jobs/{job.id}")


def _planned(desk: Desk, job: ReplayJob) -> dict[str, Any]:
    """Plan a job, keep it, and return what is told of the plan."""
    plan = desk.plan(job, _nobody)
    job = desk.save(job, plan)
    return plan_told(job, plan, desk.samples(job, plan))


def _told(office: Office, job: ReplayJob) -> dict[str, Any]:
    return {
        **job_told(job),
        "runs_here": office.runs(job.id),
        "problem": office.problem(job.id) or None,
    }


def _answer(told: object, status: int = 200, location: str = "") -> Response:
    headers = {**_HEADERS, "Location": location} if location else _HEADERS
    return Response(json.dumps(told), status_code=status, headers=headers, media_type=JSON)


def _nobody(_: int) -> None:
    """Nobody looks on."""
