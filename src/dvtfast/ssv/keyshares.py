"""SSV's keyshares.json, as ssv-keys 1.0 to 1.2 write it: everything public, ciphertexts included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from dvtfast._addresses import checksum_address
from dvtfast._files import Field, read_json, to_hex, write_json
from dvtfast.constants import PUBLIC_KEY_BYTES
from dvtfast.errors import InputError
from dvtfast.ssv.operator_keys import OperatorPublicKey
from dvtfast.ssv.shares import (
    ADDRESS_BYTES,
    CLUSTER_SIZES,
    KeyShares,
    check_operator_ids,
    parse_key_shares,
    shares_data_bytes,
)

VERSION: Final = "v1.2.0"
MAX_VALIDATORS = 65_536
# A validator with 4 operators has about 5 kB, with 13 operators 17 kB.
MAX_FILE_BYTES = 1024**3
MAX_OPERATORS: Final = max(CLUSTER_SIZES)


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


def write_keyshares(
    path: Path | str, validators: Sequence[KeyShares], operator_keys: Mapping[int, OperatorPublicKey]
) -> None:
    """Write a keyshares file v1.2.

    Args:
        operator_keys: by operator id, of all operators of the validators.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    texts = {operator_id: key.text for operator_id, key in operator_keys.items()}
    items = [_to_json(validator, texts) for validator in validators]
    write_json(path, {"version": VERSION, "createdAt": now, "shares": items})


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
    return parse_key_shares(
        public_key,
        operator_ids,
        payload["sharesData"].data(shares_data_bytes(len(operator_ids))),
        owner_address=data["ownerAddress"].data(ADDRESS_BYTES),
        owner_nonce=data["ownerNonce"].integer(),
    )


def _parse_operator_ids(field: Field) -> tuple[int, ...]:
    operator_ids = tuple(item.integer(low=1) for item in field.items(most=MAX_OPERATORS))
    try:
        check_operator_ids(operator_ids)
    except InputError as error:
        raise field.wrong(str(error).removeprefix("operator_ids: ")) from None
    return operator_ids


def _to_json(validator: KeyShares, operator_keys: Mapping[int, str]) -> dict[str, Any]:
    public_key = to_hex(validator.public_key)
    return {
        "data": {
            "ownerNonce": validator.owner_nonce,
            "ownerAddress": checksum_address(validator.owner_address),
            "publicKey": public_key,
            "operators": [{"id": i, "operatorKey": operator_keys[i]} for i in validator.operator_ids],
        },
        "payload": {
            "publicKey": public_key,
            "operatorIds": list(validator.operator_ids),
            "sharesData": to_hex(validator.shares_data),
        },
    }
