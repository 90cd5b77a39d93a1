"""Writing charon's cluster-lock.json."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from dvtfast._files import to_hex, write_json
from dvtfast.obol.definitions import cluster_definition_to_json
from dvtfast.obol.fields import hex_or_none
from dvtfast.obol.lock import ClusterLock, Deposits, Registrations, Version


def write_cluster_lock(path: Path | str, lock: ClusterLock, *, mode: int = 0o644) -> None:
    """Write a lock in charon's layout."""
    write_json(path, cluster_lock_to_json(lock), mode=mode)


def cluster_lock_to_json(lock: ClusterLock) -> dict[str, Any]:
    """A lock as charon's JSON."""
    version = lock.definition.version
    several, registers = version >= Version.PARTIAL_DEPOSITS, version >= Version.REGISTRATIONS
    deposits = _deposits_to_json(lock.deposits)
    registrations = _registrations_to_json(lock.registrations)
    return {
        "cluster_definition": cluster_definition_to_json(lock.definition),
        "distributed_validators": [
            {
                "distributed_public_key": to_hex(public_key),
                "public_shares": [to_hex(share) for share in shares],
                **({"partial_deposit_data": own} if several else {"deposit_data": own[0]}),
                **({"builder_registration": registration} if registers else {}),
            }
            for public_key, shares, own, registration in zip(
                lock.public_keys, lock.public_key_shares, deposits, registrations, strict=True
            )
        ],
        "signature_aggregate": hex_or_none(lock.signature_aggregate),
        "lock_hash": to_hex(lock.lock_hash),
        **({"node_signatures": [to_hex(each) for each in lock.node_signatures]} if registers else {}),
    }


def _deposits_to_json(deposits: Deposits) -> list[list[dict[str, Any]]]:
    flat = iter(
        {
            "pubkey": hex_or_none(public_key),
            "withdrawal_credentials": hex_or_none(credentials),
            "amount": str(amount),
            "signature": hex_or_none(signature),
        }
        for public_key, credentials, amount, signature in zip(
            deposits.public_keys,
            deposits.withdrawal_credentials,
            deposits.amounts_gwei,
            deposits.signatures,
            strict=True,
        )
    )
    return [list(islice(flat, count)) for count in deposits.counts.tolist()]


def _registrations_to_json(registrations: Registrations) -> list[dict[str, Any]]:
    return [
        {
            "message": {
                "fee_recipient": to_hex(fee_recipient) if signature.any() else "",
                "gas_limit": gas_limit,
                "timestamp": timestamp,
                "pubkey": hex_or_none(public_key),
            },
            "signature": hex_or_none(signature),
        }
        for fee_recipient, gas_limit, timestamp, public_key, signature in zip(
            registrations.fee_recipients,
            registrations.gas_limits.tolist(),
            registrations.timestamps.tolist(),
            registrations.public_keys,
            registrations.signatures,
            strict=True,
        )
    ]
