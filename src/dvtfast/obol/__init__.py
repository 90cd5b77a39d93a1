"""Obol cluster locks v1.7 to v1.11.

lock.py       what a lock says, as columns
reading.py    from charon's cluster-lock.json
writing.py    to charon's cluster-lock.json
hashing.py    config, definition and lock hash
verifying.py  whether hashes, keys and signatures are right
consent.py    what creator and operators signed
building.py   a new lock, signed by everybody
enr.py        node records
"""

from dvtfast.obol.building import build_cluster_lock
from dvtfast.obol.enr import make_enr
from dvtfast.obol.hashing import config_hash, definition_hash, lock_hash
from dvtfast.obol.lock import (
    MAX_OPERATORS,
    MAX_VALIDATORS,
    ClusterDefinition,
    ClusterLock,
    Creator,
    Deposits,
    Operator,
    Registrations,
    Version,
)
from dvtfast.obol.reading import parse_cluster_lock, read_cluster_lock, read_lock_file
from dvtfast.obol.verifying import (
    Check,
    UnverifiedLockError,
    Verdict,
    check_cluster_lock,
    verify_cluster_lock,
)
from dvtfast.obol.writing import cluster_lock_to_json, write_cluster_lock

__all__ = [
    "MAX_OPERATORS",
    "MAX_VALIDATORS",
    "Check",
    "ClusterDefinition",
    "ClusterLock",
    "Creator",
    "Deposits",
    "Operator",
    "Registrations",
    "UnverifiedLockError",
    "Verdict",
    "Version",
    "build_cluster_lock",
    "check_cluster_lock",
    "cluster_lock_to_json",
    "config_hash",
    "definition_hash",
    "lock_hash",
    "make_enr",
    "parse_cluster_lock",
    "read_cluster_lock",
    "read_lock_file",
    "verify_cluster_lock",
    "write_cluster_lock",
]
