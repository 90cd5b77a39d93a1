"""Reading charon's cluster-lock.json."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from dvtfast._files import Field, parse_json
from dvtfast.constants import PUBLIC_KEY_BYTES, ROOT_BYTES, SIGNATURE_BYTES, WITHDRAWAL_CREDENTIALS_BYTES
from dvtfast.files import read_bytes
from dvtfast.obol.definitions import parse_cluster_definition
from dvtfast.obol.fields import column, data_or_none, integers, items_or_null
from dvtfast.obol.lock import (
    ADDRESS_BYTES,
    MAX_DEPOSITS,
    NODE_SIGNATURE_BYTES,
    ClusterLock,
    Deposits,
    Registrations,
    Version,
    no_registrations,
)

# 65,536 validators with 256 shares of 103 bytes are 1.7 GB.
MAX_FILE_BYTES = 2 * 1024**3


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
    definition = parse_cluster_definition(document["cluster_definition"])
    n, k = len(definition.fee_recipients), len(definition.operators)
    validators = document["distributed_validators"].items(fewest=n, most=n)
    shares = [validator["public_shares"].rows(PUBLIC_KEY_BYTES, count=k) for validator in validators]
    return ClusterLock(
        definition=definition,
        public_keys=column(validators, "distributed_public_key", PUBLIC_KEY_BYTES),
        public_key_shares=np.stack(shares),
        deposits=_parse_deposits(validators, definition.version),
        registrations=_parse_registrations(validators, definition.version),
        signature_aggregate=data_or_none(document, "signature_aggregate", SIGNATURE_BYTES),
        lock_hash=data_or_none(document, "lock_hash", ROOT_BYTES),
        node_signatures=_parse_node_signatures(document, k),
        source=source,
    )


def _parse_deposits(validators: Sequence[Field], version: Version) -> Deposits:
    if version >= Version.PARTIAL_DEPOSITS:
        lists = [
            items_or_null(validator, "partial_deposit_data", most=MAX_DEPOSITS) for validator in validators
        ]
    else:
        lists = [[validator["deposit_data"]] for validator in validators]
    deposits = list(chain.from_iterable(lists))
    return Deposits(
        counts=np.array([len(items) for items in lists], dtype=np.uint64),
        public_keys=column(deposits, "pubkey", PUBLIC_KEY_BYTES, empty=True),
        withdrawal_credentials=column(
            deposits, "withdrawal_credentials", WITHDRAWAL_CREDENTIALS_BYTES, empty=True
        ),
        amounts_gwei=integers(deposits, "amount"),
        signatures=column(deposits, "signature", SIGNATURE_BYTES, empty=True),
    )


def _parse_registrations(validators: Sequence[Field], version: Version) -> Registrations:
    if version < Version.REGISTRATIONS:
        return no_registrations(len(validators))
    registrations = [validator["builder_registration"] for validator in validators]
    messages = [registration["message"] for registration in registrations]
    return Registrations(
        fee_recipients=column(messages, "fee_recipient", ADDRESS_BYTES, empty=True),
        gas_limits=integers(messages, "gas_limit"),
        timestamps=integers(messages, "timestamp"),
        public_keys=column(messages, "pubkey", PUBLIC_KEY_BYTES, empty=True),
        signatures=column(registrations, "signature", SIGNATURE_BYTES, empty=True),
    )


def _parse_node_signatures(document: Field, k: int) -> tuple[bytes, ...]:
    items = items_or_null(document, "node_signatures", most=k)
    if len(items) not in (0, k):
        raise document["node_signatures"].wrong(f"expected one for each of {k} operators, got {len(items)}")
    return tuple(item.data(NODE_SIGNATURE_BYTES) for item in items)
