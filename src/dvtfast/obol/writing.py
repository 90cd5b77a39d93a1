"""Writing charon's cluster-lock.json."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from dvtfast._arrays import Bytes
from dvtfast._files import to_hex, write_json
from dvtfast.obol.lock import ClusterDefinition, ClusterLock, Deposits, Registrations, Version


def write_cluster_lock(path: Path | str, lock: ClusterLock) -> None:
    """Write a lock in charon's layout."""
    write_json(path, cluster_lock_to_json(lock))


def cluster_lock_to_json(lock: ClusterLock) -> dict[str, Any]:
    """A lock as charon's JSON."""
    several = lock.definition.version >= Version.PARTIAL_DEPOSITS
    deposits = _deposits_to_json(lock.deposits)
    registrations = _registrations_to_json(lock.registrations)
    return {
        "cluster_definition": _definition_to_json(lock.definition),
        "distributed_validators": [
            {
                "distributed_public_key": to_hex(public_key),
                "public_shares": [to_hex(share) for share in shares],
                **({"partial_deposit_data": own} if several else {"deposit_data": own[0]}),
                "builder_registration": registration,
            }
            for public_key, shares, own, registration in zip(
                lock.public_keys, lock.public_key_shares, deposits, registrations, strict=True
            )
        ],
        "signature_aggregate": _hex(lock.signature_aggregate),
        "lock_hash": to_hex(lock.lock_hash),
        "node_signatures": [to_hex(signature) for signature in lock.node_signatures],
    }


def _definition_to_json(definition: ClusterDefinition) -> dict[str, Any]:
    version = definition.version
    document: dict[str, Any] = {
        "name": definition.name,
        "creator": {
            "address": definition.creator.address,
            "config_signature": _hex(definition.creator.config_signature),
        },
        "operators": [
            {
                "address": operator.address,
                "enr": operator.enr,
                "config_signature": _hex(operator.config_signature),
                "enr_signature": _hex(operator.enr_signature),
            }
            for operator in definition.operators
        ],
        "uuid": definition.uuid,
        "version": version.text,
        "timestamp": definition.timestamp,
        "num_validators": len(definition.fee_recipients),
        "threshold": definition.threshold,
        "validators": [
            {"fee_recipient_address": to_hex(recipient), "withdrawal_address": to_hex(address)}
            for recipient, address in zip(
                definition.fee_recipients, definition.withdrawal_addresses, strict=True
            )
        ],
        "dkg_algorithm": definition.dkg_algorithm,
        "fork_version": to_hex(definition.fork_version),
    }
    if version >= Version.PARTIAL_DEPOSITS:
        document["deposit_amounts"] = [str(amount) for amount in definition.deposit_amounts_gwei] or None
    if version >= Version.CONSENSUS_PROTOCOL:
        document["consensus_protocol"] = definition.consensus_protocol
    if version >= Version.GAS_LIMIT_AND_COMPOUNDING:
        document["target_gas_limit"] = definition.target_gas_limit
        document["compounding"] = definition.compounding
    document["config_hash"] = to_hex(definition.config_hash)
    document["definition_hash"] = to_hex(definition.definition_hash)
    return document


def _deposits_to_json(deposits: Deposits) -> list[list[dict[str, Any]]]:
    flat = iter(
        {
            "pubkey": _hex(public_key),
            "withdrawal_credentials": _hex(credentials),
            "amount": str(amount),
            "signature": _hex(signature),
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
                "fee_recipient": _hex(fee_recipient),
                "gas_limit": gas_limit,
                "timestamp": timestamp,
                "pubkey": _hex(public_key),
            },
            "signature": _hex(signature),
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


def _hex(data: bytes | Bytes) -> str:
    """Hex with 0x; an empty text for none, which is how zeros are read."""
    return to_hex(data) if any(data) else ""
