"""Statements about many rows, however many a statement takes.

Values of rows that are written go to the driver as they are: SQLAlchemy would look at each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, Insert, Select, Table, Update
from sqlalchemy.dialects import postgresql, sqlite

from .database import chunks


def rows_with(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], values: Iterable[Any]
) -> Iterator[Any]:
    """The rows of a query in which a column has one of these values."""
    for chunk in chunks(values):
        yield from connection.execute(query.where(column.in_(chunk))).all()


def execute_with(
    connection: Connection, statement: Update | Delete, column: ColumnElement[Any], values: Iterable[Any]
) -> None:
    """Change the rows in which a column has one of these values."""
    for chunk in chunks(values):
        connection.execute(statement.where(column.in_(chunk)))


def execute_many(
    connection: Connection, statement: Insert | Update | Delete, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Run the statement once per row of parameters, all of which have the same names; at least one of at
    least two names."""
    keys = list(rows[0])
    if isinstance(statement, Insert):
        statement = statement.inline()  # nobody asks for the ids
    compiled = statement.compile(dialect=connection.dialect, column_keys=keys)
    constants = {name: value for name, value in compiled.params.items() if name not in rows[0]}
    if constants:
        rows = [{**constants, **row} for row in rows]
    assert compiled.positiontup is not None, "both drivers count parameters"
    connection.exec_driver_sql(str(compiled), list(map(itemgetter(*compiled.positiontup), rows)))


def insert_into(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that can say what happens to rows that are there already."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
