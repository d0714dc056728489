"""Brings the view's tables to this release, once, however many projectors start together."""

from enum import StrEnum
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, func, select

_SCRIPTS: Final = Path(__file__).with_name("migrations")
_HEAD: Final = "head"
#: Any number that nobody else locks in this database.
_LOCK: Final = 0x6D61696C63617363


class NewerView(Exception):
    """The tables are of a release that came after this one."""


def upgrade_tables(connection: Connection) -> None:
    """Run the migrations that are left, in the caller's transaction; others wait for its end.

    Raises:
        NewerView: this release does not know the tables' version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    script = ScriptDirectory(str(_SCRIPTS))

    def steps(revision: object, _context: MigrationContext) -> list[object]:
        # What `alembic upgrade` itself calls; there is no public name for it.
        return list(script._upgrade_revs(_HEAD, revision))  # type: ignore[arg-type]  # untyped

    with EnvironmentContext(Config(), script, fn=steps, destination_rev=_HEAD) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        try:
            environment.run_migrations()
        except CommandError as error:
            raise NewerView("the view's tables are of a later release than this one") from error


class TablesAre(StrEnum):
    """How the view's tables stand to those that this release makes."""

    MISSING = "missing"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def tables_are(connection: Connection) -> TablesAre:
    """Tell whether the tables are those of this release; changes nothing."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        return TablesAre.MISSING
    script = ScriptDirectory(str(_SCRIPTS))
    if revision == script.get_current_head():
        return TablesAre.CURRENT
    known = {step.revision for step in script.walk_revisions()}
    return TablesAre.OLDER if revision in known else TablesAre.NEWER
