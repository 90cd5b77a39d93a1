"""Tables whose rows are added, never changed and not removed; the database itself sees to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def append_only(table: str, *, may_forget: str = "") -> Mapping[str, Sequence[str]]:
    """What to execute once after the table, which has an `id`, is made: statements by SQL dialect.

    Args:
        may_forget: which rows may be removed: a condition on OLD, in SQLite's dialect; none when empty.
    """
    unless = f" WHEN NOT ({may_forget})" if may_forget else ""
    with_the_id = f"SELECT 1 FROM {table} WHERE id = NEW.id"  # noqa: S608 - a name of ours
    complaint = f"RAISE(ABORT, '{table} is append-only')"
    return {
        "sqlite": (
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN SELECT {complaint}; END",
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}{unless}"
            f" BEGIN SELECT {complaint}; END",
            # INSERT OR REPLACE removes a row without being a DELETE.
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}"
            f" WHEN EXISTS ({with_the_id}) BEGIN SELECT {complaint}; END",
        ),
        "postgresql": (
            f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$",
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE"
            f" ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()",
        ),
    }
