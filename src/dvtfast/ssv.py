"""SSV's keyshares.json: validators whose key shares are encrypted to the operators of their cluster.

Read here: everything public. The ciphertexts are kept for the operator who can open them; the owner's
signature over owner and nonce is kept, not verified.

Source: ssv-keys 1.0 to 1.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._files import Field, read_json
from dvtfast.constants import PUBLIC_KEY_BYTES, SIGNATURE_BYTES

MAX_VALIDATORS = 65_536
# A validator with 4 operators has about 5 kB, with 13 operators 17 kB.
MAX_FILE_BYTES = 1024**3
# RSA-2048.
CIPHERTEXT_BYTES: Final = 256
ADDRESS_BYTES: Final = 20
# ssv-network, ValidatorLib: n = 3f + 1.
CLUSTER_SIZES: Final = (4, 7, 10, 13)
MAX_OPERATORS: Final = max(CLUSTER_SIZES)


@dataclass(frozen=True, eq=False)
class KeyShares:
    """One validator of an SSV cluster.

    Attributes:
        public_key: 48 bytes.
        operator_ids: ascending; they are the share indices.
        owner_address: as written, with its checksum.
        owner_nonce: how many validators the owner had registered before.
        owner_signature: 96 bytes, by the validator's key.
        public_key_shares: uint8[k, 48].
        encrypted_shares: uint8[k, 256].
    """

    public_key: bytes
    operator_ids: tuple[int, ...]
    owner_address: str
    owner_nonce: int
    owner_signature: bytes
    public_key_shares: Bytes
    encrypted_shares: Bytes

    @property
    def threshold(self) -> int:
        """2f + 1 of 3f + 1 operators."""
        return threshold_of(len(self.operator_ids))


def threshold_of(operators: int) -> int:
    """How many of an SSV cluster's operators must sign."""
    return 2 * ((operators - 1) // 3) + 1


def read_keyshares(path: Path | str) -> list[KeyShares]:
    """Read a keyshares file of any version up to 1.2; points are not decoded yet.

    Raises:
        FileError: it is no such file.
    """
    document = read_json(path, limit_bytes=MAX_FILE_BYTES)
    shares = document.get("shares")
    # Before 1.1 a file had one validator.
    items = shares.items(fewest=1, most=MAX_VALIDATORS) if shares else [document]
    validators: dict[bytes, KeyShares] = {}
    for item in items:
        validator = _parse(item)
        if validators.setdefault(validator.public_key, validator) is not validator:
            raise item["payload"]["publicKey"].wrong("repeated")
    return list(validators.values())


def _parse(item: Field) -> KeyShares:
    data, payload = item["data"], item["payload"]
    public_key = payload["publicKey"].data(PUBLIC_KEY_BYTES)
    if data["publicKey"].data() != public_key:
        raise data["publicKey"].wrong("differs from payload.publicKey")
    operator_ids = _parse_operator_ids(payload["operatorIds"])
    if (
        tuple(operator["id"].integer() for operator in data["operators"].items(most=MAX_OPERATORS))
        != operator_ids
    ):
        raise data["operators"].wrong("differ from payload.operatorIds")
    data["ownerAddress"].data(ADDRESS_BYTES)
    k = len(operator_ids)
    blob = payload["sharesData"].data(SIGNATURE_BYTES + k * (PUBLIC_KEY_BYTES + CIPHERTEXT_BYTES))
    keys_end = SIGNATURE_BYTES + k * PUBLIC_KEY_BYTES
    return KeyShares(
        public_key=public_key,
        operator_ids=operator_ids,
        owner_address=data["ownerAddress"].text(),
        owner_nonce=data["ownerNonce"].integer(),
        owner_signature=blob[:SIGNATURE_BYTES],
        public_key_shares=_matrix(blob[SIGNATURE_BYTES:keys_end], PUBLIC_KEY_BYTES),
        encrypted_shares=_matrix(blob[keys_end:], CIPHERTEXT_BYTES),
    )


def _parse_operator_ids(field: Field) -> tuple[int, ...]:
    operator_ids = tuple(item.integer(low=1) for item in field.items(most=MAX_OPERATORS))
    if len(operator_ids) not in CLUSTER_SIZES:
        raise field.wrong(f"expected {', '.join(map(str, CLUSTER_SIZES))} operators, got {len(operator_ids)}")
    if list(operator_ids) != sorted(set(operator_ids)):
        raise field.wrong("expected ascending operator ids, each once")
    return operator_ids


def _matrix(data: bytes, width: int) -> Bytes:
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, width)
