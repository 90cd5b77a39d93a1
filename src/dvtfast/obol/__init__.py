"""Obol cluster definitions and locks v1.6 to v1.11.

lock.py         what definition and lock say, as columns
definitions.py  from and to charon's cluster-definition.json
reading.py      from charon's cluster-lock.json
writing.py      to charon's cluster-lock.json
fields.py       what is empty or null in these files
hashing.py      config, definition and lock hash
verifying.py    whether hashes, keys and signatures of a lock are right
rules.py        whether a key generation may begin with a definition
consent.py      what creator and operators signed
proposing.py    a new definition
signing.py      what the nodes of a new cluster sign, and its lock
deposit_files.py  the deposits of a lock as files
building.py     a new lock from all secrets, signed by everybody
enr.py          node records
node_key.py     charon-enr-private-key
"""

from dvtfast.obol.building import build_cluster_lock, deal_cluster_lock
from dvtfast.obol.consent import Unproven, is_nobodys, sign_definition, unproven_signatures
from dvtfast.obol.definitions import (
    MAX_DEFINITION_BYTES,
    cluster_definition_to_json,
    read_cluster_definition,
    write_cluster_definition,
)
from dvtfast.obol.deposit_files import DEPOSIT_FILES, deposit_data_of, deposit_file_name, write_deposit_files
from dvtfast.obol.enr import NodeRecord, make_enr, read_enr
from dvtfast.obol.hashing import config_hash, definition_hash, lock_hash, with_hashes
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
from dvtfast.obol.node_key import KEY_FILE, read_node_key, write_node_key
from dvtfast.obol.proposing import make_cluster_definition
from dvtfast.obol.reading import parse_cluster_lock, read_cluster_lock, read_lock_file
from dvtfast.obol.rules import broken_rules, missing_proofs, network_of, node_keys_of, wrong_amounts
from dvtfast.obol.signing import (
    deposit_amounts_of,
    deposit_roots,
    make_cluster_lock,
    registration_roots,
    signed_cluster_lock,
)
from dvtfast.obol.verifying import (
    Check,
    UnverifiedLockError,
    Verdict,
    check_cluster_lock,
    verify_cluster_lock,
)
from dvtfast.obol.writing import cluster_lock_to_json, write_cluster_lock

__all__ = [
    "DEPOSIT_FILES",
    "KEY_FILE",
    "MAX_DEFINITION_BYTES",
    "MAX_OPERATORS",
    "MAX_VALIDATORS",
    "Check",
    "ClusterDefinition",
    "ClusterLock",
    "Creator",
    "Deposits",
    "NodeRecord",
    "Operator",
    "Registrations",
    "Unproven",
    "UnverifiedLockError",
    "Verdict",
    "Version",
    "broken_rules",
    "build_cluster_lock",
    "check_cluster_lock",
    "cluster_definition_to_json",
    "cluster_lock_to_json",
    "config_hash",
    "deal_cluster_lock",
    "definition_hash",
    "deposit_amounts_of",
    "deposit_data_of",
    "deposit_file_name",
    "deposit_roots",
    "is_nobodys",
    "lock_hash",
    "make_cluster_definition",
    "make_cluster_lock",
    "make_enr",
    "missing_proofs",
    "network_of",
    "node_keys_of",
    "parse_cluster_lock",
    "read_cluster_definition",
    "read_cluster_lock",
    "read_enr",
    "read_lock_file",
    "read_node_key",
    "registration_roots",
    "sign_definition",
    "signed_cluster_lock",
    "unproven_signatures",
    "verify_cluster_lock",
    "with_hashes",
    "write_cluster_definition",
    "write_cluster_lock",
    "write_deposit_files",
    "write_node_key",
    "wrong_amounts",
]
