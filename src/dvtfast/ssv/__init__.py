"""SSV clusters: validators whose key shares are encrypted to the RSA keys of their operators.

shares.py         one validator of a cluster, and the bytes that the contract is given
keyshares.py      from and to ssv-keys' keyshares.json
owners.py         the owner's signature, by the validator's key
checking.py       whether all that is public fits together
operator_keys.py  an operator's RSA key, in all forms that the node reads
operators_file.py whose keys these are, of a whole cluster
opening.py        the key shares of one operator, decrypted and checked
building.py       new ones, encrypted to operators
"""

from dvtfast._addresses import checksum_address
from dvtfast.ssv.building import assemble_key_shares, build_key_shares, encrypt_key_shares
from dvtfast.ssv.checking import check_key_shares
from dvtfast.ssv.keyshares import read_keyshares, write_keyshares
from dvtfast.ssv.opening import OpenedKeyShares, open_key_shares
from dvtfast.ssv.operator_keys import (
    OperatorKey,
    OperatorPublicKey,
    generate_operator_key,
    read_operator_key,
    write_operator_key,
)
from dvtfast.ssv.operators_file import read_operators
from dvtfast.ssv.owners import check_owner_signatures, owner_signing_root, owner_signing_roots
from dvtfast.ssv.shares import CLUSTER_SIZES, KeyShares, parse_key_shares, threshold_of

__all__ = [
    "CLUSTER_SIZES",
    "KeyShares",
    "OpenedKeyShares",
    "OperatorKey",
    "OperatorPublicKey",
    "assemble_key_shares",
    "build_key_shares",
    "check_key_shares",
    "check_owner_signatures",
    "checksum_address",
    "encrypt_key_shares",
    "generate_operator_key",
    "open_key_shares",
    "owner_signing_root",
    "owner_signing_roots",
    "parse_key_shares",
    "read_keyshares",
    "read_operator_key",
    "read_operators",
    "threshold_of",
    "write_keyshares",
    "write_operator_key",
]
