"""The tables of the sidecar's journal, and how those of older versions become them."""

# ruff: noqa: S608 - the text of these statements is all from here

from __future__ import annotations

from ...files.append_only import append_only
from ...files.sqlite_files import FileKind

DAY_SECONDS = 86_400
KEPT_DAYS = 30

EXIT, DEPOSIT = "exit", "deposit"

NEWEST = "(SELECT max(at) FROM signatures WHERE kind = OLD.kind)"
MAY_FORGET = (
    f"(OLD.kind = '{EXIT}' AND OLD.at < {NEWEST} - {DAY_SECONDS})"
    f" OR (OLD.kind = '{DEPOSIT}' AND OLD.at < {NEWEST} - {KEPT_DAYS * DAY_SECONDS}"
    f" AND EXISTS (SELECT 1 FROM signatures WHERE kind = '{DEPOSIT}' AND public_key = OLD.public_key"
    " AND vault = OLD.vault AND id < OLD.id))"
)
_WHOSE = f"NEW.at / {DAY_SECONDS}, NEW.relayer, NEW.kind"
COUNTING = (
    f"INSERT INTO totals VALUES ({_WHOSE}, 1) ON CONFLICT DO UPDATE SET count = count + 1;"
    f" INSERT INTO counts VALUES ({_WHOSE}, NEW.public_key, 1) ON CONFLICT DO UPDATE SET count = count + 1;"
)

SIGNATURES = (
    # Integers of 64 bits are decimal text: SQLite's end at 2^63 - 1.
    "CREATE TABLE signatures (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, network TEXT NOT NULL,"
    " relayer TEXT NOT NULL, share_index TEXT NOT NULL, kind TEXT NOT NULL, public_key BLOB NOT NULL,"
    " validator_index TEXT, vault BLOB, validator_type INTEGER, amount_gwei TEXT,"
    " signing_root BLOB NOT NULL)",
    "CREATE UNIQUE INDEX signatures_once ON signatures (signing_root, public_key, share_index, relayer)",
    "CREATE INDEX signatures_deposits ON signatures (public_key, vault) WHERE kind = 'deposit'",
    *append_only("signatures", may_forget=MAY_FORGET)["sqlite"],
)
SINCE_2 = (
    "CREATE INDEX signatures_by_time ON signatures (kind, at)",
    # Counted by the file itself, so that all processes count together: exits of each share index, deposits
    # once for a relayer.
    "CREATE TABLE totals (day INTEGER, relayer TEXT, kind TEXT, count INTEGER NOT NULL,"
    " PRIMARY KEY (day, relayer, kind)) WITHOUT ROWID",
    "CREATE TABLE counts (day INTEGER, relayer TEXT, kind TEXT, public_key BLOB, count INTEGER NOT NULL,"
    " PRIMARY KEY (day, relayer, kind, public_key)) WITHOUT ROWID",
    f"CREATE TRIGGER signatures_count_exits AFTER INSERT ON signatures WHEN NEW.kind = '{EXIT}'"
    f" BEGIN {COUNTING} END",
    f"CREATE TRIGGER signatures_count_deposits AFTER INSERT ON signatures WHEN NEW.kind = '{DEPOSIT}'"
    " AND NOT EXISTS (SELECT 1 FROM signatures WHERE signing_root = NEW.signing_root"
    " AND public_key = NEW.public_key AND relayer = NEW.relayer AND id <> NEW.id)"
    f" BEGIN {COUNTING} END",
    "CREATE TABLE releases (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, public_key BLOB NOT NULL,"
    " from_vault BLOB NOT NULL, to_vault BLOB NOT NULL)",
    "CREATE INDEX releases_of_key ON releases (public_key, id)",
    *append_only("releases")["sqlite"],
)
_COUNTED = f"at / {DAY_SECONDS}, relayer, kind"
FROM_1 = (
    "DROP INDEX signatures_deposited",
    "DROP TRIGGER signatures_no_delete",
    *(s for s in append_only("signatures", may_forget=MAY_FORGET)["sqlite"] if "_no_delete" in s),
    *SINCE_2,
    *(
        f"INSERT INTO {table} SELECT {columns}, count(DISTINCT {counted}) FROM signatures"
        f" WHERE kind = '{kind}' GROUP BY {columns}"
        for table, columns in (("totals", _COUNTED), ("counts", f"{_COUNTED}, public_key"))
        for kind, counted in ((EXIT, "id"), (DEPOSIT, "signing_root"))
    ),
)

KIND = FileKind(
    holds="journal", tables=["signatures"], version=2, create=(*SIGNATURES, *SINCE_2), upgrades={1: FROM_1}
)
