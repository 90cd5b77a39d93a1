"""The three hashes of an Obol cluster lock: SSZ hash tree roots.

Source: charon, cluster definition and lock; the order of the fields is part of the format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from dvtfast import _ssz
from dvtfast._arrays import Bytes
from dvtfast.obol.lock import (
    ADDRESS_BYTES,
    MAX_DEPOSITS,
    MAX_OPERATORS,
    MAX_VALIDATORS,
    NODE_SIGNATURE_BYTES,
    ClusterDefinition,
    ClusterLock,
    Deposits,
    Registrations,
    Version,
)
from dvtfast.signing_roots import deposit_data_roots

# Limits of the texts, in bytes.
MAX_UUID = 64
MAX_NAME = 256
MAX_VERSION = 16
MAX_TIMESTAMP = 32
MAX_DKG_ALGORITHM = 32
MAX_CONSENSUS_PROTOCOL = 256
MAX_ENR = 1024
# Limits of lists.
MAX_DEPOSIT_AMOUNTS = 256
MAX_SIGNATURES = 32


def config_hash(definition: ClusterDefinition) -> bytes:
    """Hash of what the creator proposed: no ENRs, no signatures."""
    return _definition_root(definition, config_only=True).tobytes()


def definition_hash(definition: ClusterDefinition) -> bytes:
    """Hash of the whole definition, its config hash included."""
    return _definition_root(definition, config_only=False).tobytes()


def with_hashes(definition: ClusterDefinition) -> ClusterDefinition:
    """The same definition with both hashes as they should be."""
    definition = dataclasses.replace(definition, config_hash=config_hash(definition))
    return dataclasses.replace(definition, definition_hash=definition_hash(definition))


def lock_hash(lock: ClusterLock) -> bytes:
    """Hash that the nodes and all key shares sign: everything but these signatures."""
    definition = lock.definition
    validators = _ssz.container(
        _ssz.byte_vector(lock.public_keys),
        _ssz.lists(_share_roots(lock.public_key_shares), MAX_OPERATORS),
        *_deposit_fields(lock.deposits, definition.version),
        *([_registration_roots(lock.registrations)] if definition.version >= Version.REGISTRATIONS else []),
    )
    root = _ssz.container(
        _definition_root(definition, config_only=False), _ssz.lists(validators[np.newaxis], MAX_VALIDATORS)
    )
    return root.tobytes()


def registration_message_roots(registrations: Registrations) -> Bytes:
    """Object roots uint8[n, 32] that builder registrations sign."""
    return _ssz.container(
        _ssz.byte_vector(registrations.fee_recipients),
        _ssz.uint64(registrations.gas_limits),
        _ssz.uint64(registrations.timestamps),
        _ssz.byte_vector(registrations.public_keys),
    )


def _definition_root(definition: ClusterDefinition, *, config_only: bool) -> Bytes:
    fields = [
        _text(definition.uuid, MAX_UUID),
        _text(definition.name, MAX_NAME),
        _text(definition.version.text, MAX_VERSION),
        _text(definition.timestamp, MAX_TIMESTAMP),
        _integer(len(definition.fee_recipients)),
        _integer(definition.threshold),
        _text(definition.dkg_algorithm, MAX_DKG_ALGORITHM),
        _ssz.byte_vector(_row(definition.fork_version)),
        _operators_root(definition, config_only=config_only),
        _creator_root(definition, config_only=config_only),
        _addresses_root(definition),
    ]
    if definition.version >= Version.PARTIAL_DEPOSITS:
        fields.append(_ssz.uint64_list(definition.deposit_amounts_gwei, MAX_DEPOSIT_AMOUNTS))
    if definition.version >= Version.CONSENSUS_PROTOCOL:
        fields.append(_text(definition.consensus_protocol, MAX_CONSENSUS_PROTOCOL))
    if definition.version >= Version.GAS_LIMIT_AND_COMPOUNDING:
        fields += [_integer(definition.target_gas_limit), _integer(int(definition.compounding))]
    if not config_only:
        fields.append(_row(config_hash(definition)))
    return _ssz.container(*fields)


def _operators_root(definition: ClusterDefinition, *, config_only: bool) -> Bytes:
    fields = [_stacked(_address(operator.address) for operator in definition.operators)]
    if not config_only:
        fields += [
            _ssz.byte_lists([operator.enr.encode() for operator in definition.operators], MAX_ENR),
            _stacked(_signature_root(definition, o.config_signature) for o in definition.operators),
            _stacked(_signature_root(definition, o.enr_signature) for o in definition.operators),
        ]
    return _ssz.lists(_ssz.container(*fields)[np.newaxis], MAX_OPERATORS)


def _creator_root(definition: ClusterDefinition, *, config_only: bool) -> Bytes:
    address = _address(definition.creator.address)
    if config_only:
        return _ssz.container(address)
    return _ssz.container(address, _signature_root(definition, definition.creator.config_signature))


def _addresses_root(definition: ClusterDefinition) -> Bytes:
    roots = _ssz.container(
        _ssz.byte_vector(definition.fee_recipients), _ssz.byte_vector(definition.withdrawal_addresses)
    )
    return _ssz.lists(roots[np.newaxis], MAX_VALIDATORS)


def _signature_root(definition: ClusterDefinition, signature: bytes) -> Bytes:
    """One signature of fixed size, zeros when empty; from v1.11 on a list of them."""
    if definition.version < Version.SIGNATURE_LISTS:
        return _ssz.byte_vector(_row(signature.rjust(NODE_SIGNATURE_BYTES, b"\0")))
    several = np.frombuffer(signature, dtype=np.uint8).reshape(-1, NODE_SIGNATURE_BYTES)
    return _ssz.lists(_ssz.byte_vector(several)[np.newaxis], MAX_SIGNATURES)


def _share_roots(shares: Bytes) -> Bytes:
    n, k, width = shares.shape
    return _ssz.byte_vector(shares.reshape(n * k, width)).reshape(n, k, -1)


def _deposit_fields(deposits: Deposits, version: Version) -> list[Bytes]:
    """What a validator has of deposits: v1.6 has the fields of the one there is among its own."""
    if version < Version.REGISTRATIONS:
        return [
            _ssz.byte_vector(deposits.public_keys),
            _ssz.byte_vector(deposits.withdrawal_credentials),
            _ssz.uint64(deposits.amounts_gwei),
            _ssz.byte_vector(deposits.signatures),
        ]
    roots = deposit_data_roots(
        deposits.public_keys, deposits.withdrawal_credentials, deposits.amounts_gwei, deposits.signatures
    )
    if version < Version.PARTIAL_DEPOSITS:
        return [roots]
    return [_ssz.ragged_lists(roots, deposits.counts, MAX_DEPOSITS)]


def _registration_roots(registrations: Registrations) -> Bytes:
    return _ssz.container(
        registration_message_roots(registrations), _ssz.byte_vector(registrations.signatures)
    )


def _text(value: str, limit: int) -> Bytes:
    return _ssz.byte_lists([value.encode()], limit)


def _integer(value: int) -> Bytes:
    return _ssz.uint64(np.array([value], dtype=np.uint64))


def _address(value: str) -> Bytes:
    return _ssz.byte_vector(_row(bytes.fromhex(value.removeprefix("0x")).rjust(ADDRESS_BYTES, b"\0")))


def _stacked(rows: Iterable[Bytes]) -> Bytes:
    """Lone roots, one below the other."""
    return np.concatenate(list(rows))


def _row(value: bytes) -> Bytes:
    return np.frombuffer(value, dtype=np.uint8)[np.newaxis]
