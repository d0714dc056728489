"""Statements that put rows over what is there, in the words of either database."""

from collections.abc import Sequence

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect


def upsert(table: Table, dialect: str, others: Sequence[str] = ()) -> str:
    """Return the statement that inserts rows of a table or puts them over what is there.

    A row has its key, then these other columns, or all others in the table's order; columns that it
    does not have stay as they are. As text with places for the values: for thousands of rows,
    preparing the values of a statement that is an object takes longer than the database does.
    """
    keys = list(table.primary_key.columns.keys())
    rest = list(others) or [column.name for column in table.columns if column.name not in keys]
    values = {name: None for name in (*keys, *rest)}
    if dialect == "postgresql":
        there = postgresql.insert(table).values(values)
        placed = there.on_conflict_do_update(
            index_elements=keys, set_={name: there.excluded[name] for name in rest}
        )
        # The library gives this constructor no annotations.
        places = psycopg_dialect.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
        return str(placed.compile(dialect=places))
    here = sqlite.insert(table).values(values)
    put = here.on_conflict_do_update(
        index_elements=keys, set_={name: here.excluded[name] for name in rest}
    )
    return str(put.compile(dialect=sqlite.dialect()))
