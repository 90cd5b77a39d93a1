"""The tables of the operator's journal: rows are added, never changed."""

from __future__ import annotations

from ...files.append_only import append_only
from ...files.sqlite_files import FileKind

WHAT_IS_DONE = ("actions", "action_keys", "transactions")
WHAT_CAME_OF_IT = ("conclusions", "reopenings", "finals", "shown")
TABLE_NAMES = WHAT_IS_DONE + WHAT_CAME_OF_IT

CONCLUSIONS = (
    "CREATE TABLE conclusions (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " action INTEGER NOT NULL REFERENCES actions (id), outcome TEXT NOT NULL, transaction_hash BLOB,"
    " block_number TEXT, block_hash BLOB, gas_used TEXT NOT NULL, fee_wei TEXT NOT NULL)",
    "CREATE INDEX conclusions_by_action ON conclusions (action)",
    "CREATE TABLE reopenings (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " conclusion INTEGER NOT NULL UNIQUE REFERENCES conclusions (id), why TEXT NOT NULL)",
    "CREATE TABLE finals (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " conclusion INTEGER NOT NULL UNIQUE REFERENCES conclusions (id))",
    "CREATE TABLE shown (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " conclusion INTEGER NOT NULL UNIQUE REFERENCES conclusions (id))",
    *(statement for table in WHAT_CAME_OF_IT for statement in append_only(table)["sqlite"]),
    "CREATE VIEW standing AS SELECT c.*, f.id IS NOT NULL AS is_final, h.id IS NOT NULL AS is_shown"
    " FROM conclusions c LEFT JOIN finals f ON f.conclusion = c.id LEFT JOIN shown h ON h.conclusion = c.id"
    " WHERE NOT EXISTS (SELECT 1 FROM reopenings r WHERE r.conclusion = c.id)",
)
TABLES = (
    # Integers that may have more than 63 bits are decimal text.
    "CREATE TABLE actions (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, chain_id TEXT NOT NULL,"
    " account BLOB NOT NULL, nonce TEXT NOT NULL, kind TEXT NOT NULL, vault BLOB NOT NULL,"
    " target BLOB NOT NULL, data BLOB NOT NULL, value_wei TEXT NOT NULL, registry_root BLOB,"
    " deadline TEXT, details TEXT NOT NULL, block_number TEXT NOT NULL DEFAULT '0')",
    "CREATE TABLE action_keys (id INTEGER PRIMARY KEY, action INTEGER NOT NULL REFERENCES actions (id),"
    " public_key BLOB NOT NULL)",
    "CREATE INDEX action_keys_by_key ON action_keys (public_key)",
    "CREATE INDEX action_keys_by_action ON action_keys (action)",
    "CREATE TABLE transactions (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " action INTEGER NOT NULL REFERENCES actions (id), hash BLOB NOT NULL UNIQUE, raw BLOB NOT NULL,"
    " max_fee_wei TEXT NOT NULL, priority_fee_wei TEXT NOT NULL, is_cancel INTEGER NOT NULL,"
    " block_number TEXT NOT NULL DEFAULT '0')",
    *(statement for table in WHAT_IS_DONE for statement in append_only(table)["sqlite"]),
    *CONCLUSIONS,
)
# What makes a journal of an earlier version one of this version.
FROM_VERSION_1 = (
    "ALTER TABLE actions ADD COLUMN block_number TEXT NOT NULL DEFAULT '0'",
    "ALTER TABLE transactions ADD COLUMN block_number TEXT NOT NULL DEFAULT '0'",
    # An action had one conclusion for ever, which is said of the table, so there must be another table.
    "CREATE TEMPORARY TABLE before AS SELECT * FROM conclusions",
    "DROP TABLE conclusions",
    *CONCLUSIONS,
    "INSERT INTO conclusions SELECT * FROM before ORDER BY id",
    "DROP TABLE before",
)
KIND = FileKind(
    holds="journal",
    tables=["actions", "action_keys", "transactions", "conclusions"],
    version=2,
    create=TABLES,
    upgrades={1: FROM_VERSION_1},
)
