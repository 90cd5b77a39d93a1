"""Reading charon's cluster-lock.json."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from dvtfast._arrays import Bytes, Uint64s
from dvtfast._files import Field, parse_json, rows
from dvtfast.constants import PUBLIC_KEY_BYTES, ROOT_BYTES, SIGNATURE_BYTES, WITHDRAWAL_CREDENTIALS_BYTES
from dvtfast.files import read_bytes
from dvtfast.obol import hashing
from dvtfast.obol.lock import (
    ADDRESS_BYTES,
    MAX_DEPOSITS,
    MAX_OPERATORS,
    MAX_VALIDATORS,
    NODE_SIGNATURE_BYTES,
    ClusterDefinition,
    ClusterLock,
    Creator,
    Deposits,
    Operator,
    Registrations,
    Version,
)

# 65,536 validators with 256 shares of 103 bytes are 1.7 GB.
MAX_FILE_BYTES = 2 * 1024**3
FORK_VERSION_BYTES = 4


def read_lock_file(path: Path | str) -> bytes:
    """The content of a lock file, for a caller who also wants to know whether it is another one.

    Raises:
        FileError: it cannot be read.
    """
    return read_bytes(Path(path), limit_bytes=MAX_FILE_BYTES)


def read_cluster_lock(path: Path | str, *, content: bytes | None = None) -> ClusterLock:
    """Read a lock of a known version whose counts agree; nothing is verified yet, and hashes and signatures
    may be missing.

    Args:
        path: the file.
        content: of that file, by a caller who has read it.

    Raises:
        FileError: the file is no such lock.
    """
    path = Path(path)
    if content is None:
        content = read_lock_file(path)
    return parse_cluster_lock(parse_json(content, path), source=path)


def parse_cluster_lock(document: Field, *, source: Path | None = None) -> ClusterLock:
    """A lock from its JSON; see `read_cluster_lock`."""
    definition = _parse_definition(document["cluster_definition"])
    n, k = len(definition.fee_recipients), len(definition.operators)
    validators = document["distributed_validators"].items(fewest=n, most=n)
    shares = [validator["public_shares"].rows(PUBLIC_KEY_BYTES, count=k) for validator in validators]
    return ClusterLock(
        definition=definition,
        public_keys=_column(validators, "distributed_public_key", PUBLIC_KEY_BYTES),
        public_key_shares=np.stack(shares),
        deposits=_parse_deposits(validators, definition.version),
        registrations=_parse_registrations([validator["builder_registration"] for validator in validators]),
        signature_aggregate=_data_or_none(document, "signature_aggregate", SIGNATURE_BYTES),
        lock_hash=_data_or_none(document, "lock_hash", ROOT_BYTES),
        node_signatures=_parse_node_signatures(document, k),
        source=source,
    )


def _parse_definition(field: Field) -> ClusterDefinition:
    version = _parse_version(field["version"])
    operators = field["operators"].items(fewest=1, most=MAX_OPERATORS)
    n = field["num_validators"].integer(low=1, high=MAX_VALIDATORS)
    validators = field["validators"].items(fewest=n, most=n)
    later: dict[str, Any] = {}
    if version >= Version.PARTIAL_DEPOSITS:
        amounts = _items_or_null(field, "deposit_amounts", most=hashing.MAX_DEPOSIT_AMOUNTS)
        later["deposit_amounts_gwei"] = tuple(amount.integer() for amount in amounts)
    if version >= Version.CONSENSUS_PROTOCOL:
        later["consensus_protocol"] = field["consensus_protocol"].text(longest=hashing.MAX_CONSENSUS_PROTOCOL)
    if version >= Version.GAS_LIMIT_AND_COMPOUNDING:
        later["target_gas_limit"] = field["target_gas_limit"].integer()
        later["compounding"] = field["compounding"].flag()
    return ClusterDefinition(
        name=field["name"].text(longest=hashing.MAX_NAME),
        uuid=field["uuid"].text(longest=hashing.MAX_UUID),
        version=version,
        timestamp=field["timestamp"].text(longest=hashing.MAX_TIMESTAMP),
        threshold=field["threshold"].integer(low=1, high=len(operators)),
        dkg_algorithm=field["dkg_algorithm"].text(longest=hashing.MAX_DKG_ALGORITHM),
        fork_version=field["fork_version"].data(FORK_VERSION_BYTES),
        operators=_parse_operators(operators, version),
        creator=Creator(
            _parse_address(field["creator"]["address"]),
            _parse_signature(field["creator"]["config_signature"], version),
        ),
        fee_recipients=_column(validators, "fee_recipient_address", ADDRESS_BYTES),
        withdrawal_addresses=_column(validators, "withdrawal_address", ADDRESS_BYTES),
        config_hash=_data_or_none(field, "config_hash", ROOT_BYTES),
        definition_hash=_data_or_none(field, "definition_hash", ROOT_BYTES),
        **later,
    )


def _parse_version(field: Field) -> Version:
    for version in Version:
        if version.text == field.text():
            return version
    raise field.wrong(f"expected one of {', '.join(version.text for version in Version)}")


def _parse_operators(fields: Sequence[Field], version: Version) -> tuple[Operator, ...]:
    """The operators; no two of them have one ENR: that would be one node with two shares of each key."""
    operators = tuple(_parse_operator(field, version) for field in fields)
    first_with: dict[str, int] = {}
    for i, operator in enumerate(operators):
        if (first := first_with.setdefault(operator.enr, i)) != i:
            raise fields[i]["enr"].wrong(f"the same as of operators[{first}]; each node has its own")
    return operators


def _parse_operator(field: Field, version: Version) -> Operator:
    return Operator(
        enr=field["enr"].text(longest=hashing.MAX_ENR),
        address=_parse_address(field["address"]),
        config_signature=_parse_signature(field["config_signature"], version),
        enr_signature=_parse_signature(field["enr_signature"], version),
    )


def _parse_address(field: Field) -> str:
    """The address as it is written: upper and lower case are its checksum."""
    field.data(ADDRESS_BYTES, empty=True)
    return field.text()


def _parse_signature(field: Field, version: Version) -> bytes:
    if version < Version.SIGNATURE_LISTS:
        return field.data(NODE_SIGNATURE_BYTES, empty=True)
    data = field.data()
    if len(data) % NODE_SIGNATURE_BYTES or len(data) > hashing.MAX_SIGNATURES * NODE_SIGNATURE_BYTES:
        raise field.wrong(
            f"expected at most {hashing.MAX_SIGNATURES} signatures of {NODE_SIGNATURE_BYTES} bytes"
        )
    return data


def _parse_deposits(validators: Sequence[Field], version: Version) -> Deposits:
    if version >= Version.PARTIAL_DEPOSITS:
        lists = [
            _items_or_null(validator, "partial_deposit_data", most=MAX_DEPOSITS) for validator in validators
        ]
    else:
        lists = [[validator["deposit_data"]] for validator in validators]
    deposits = list(chain.from_iterable(lists))
    return Deposits(
        counts=np.array([len(items) for items in lists], dtype=np.uint64),
        public_keys=_column(deposits, "pubkey", PUBLIC_KEY_BYTES, empty=True),
        withdrawal_credentials=_column(
            deposits, "withdrawal_credentials", WITHDRAWAL_CREDENTIALS_BYTES, empty=True
        ),
        amounts_gwei=_integers(deposits, "amount"),
        signatures=_column(deposits, "signature", SIGNATURE_BYTES, empty=True),
    )


def _parse_registrations(registrations: Sequence[Field]) -> Registrations:
    messages = [registration["message"] for registration in registrations]
    return Registrations(
        fee_recipients=_column(messages, "fee_recipient", ADDRESS_BYTES, empty=True),
        gas_limits=_integers(messages, "gas_limit"),
        timestamps=_integers(messages, "timestamp"),
        public_keys=_column(messages, "pubkey", PUBLIC_KEY_BYTES, empty=True),
        signatures=_column(registrations, "signature", SIGNATURE_BYTES, empty=True),
    )


def _parse_node_signatures(document: Field, k: int) -> tuple[bytes, ...]:
    items = _items_or_null(document, "node_signatures", most=k)
    if len(items) not in (0, k):
        raise document["node_signatures"].wrong(f"expected one for each of {k} operators, got {len(items)}")
    return tuple(item.data(NODE_SIGNATURE_BYTES) for item in items)


def _data_or_none(parent: Field, name: str, width: int) -> bytes:
    """What a lock has that is whole; nothing in one that was made without, or put together by hand."""
    field = parent.get(name)
    return field.data(width, empty=True) if field else b""


def _items_or_null(parent: Field, name: str, *, most: int) -> list[Field]:
    """The items of a list; Go writes an empty one as null."""
    field = parent.get(name)
    return field.items(most=most) if field else []


def _column(objects: Sequence[Field], name: str, width: int, *, empty: bool = False) -> Bytes:
    return rows((item[name] for item in objects), width, empty=empty)


def _integers(objects: Sequence[Field], name: str) -> Uint64s:
    return np.array([item[name].integer() for item in objects], dtype=np.uint64)
