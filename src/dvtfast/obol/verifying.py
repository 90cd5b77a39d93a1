"""Whether a cluster lock is right: hashes, keys, and everybody's signatures.

`verify_cluster_lock` is for programs. `check_cluster_lock` is for people: it looks at everything, and at
what is of no concern to who signs exits, such as deposits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from dvtfast._arrays import Bools, Bytes
from dvtfast._cluster_keys import decode_cluster_keys
from dvtfast._files import to_hex
from dvtfast.constants import DOMAIN_BUILDER
from dvtfast.domains import compute_domain
from dvtfast.errors import EncodingError, FileError, InputError, SignatureError
from dvtfast.keys import PublicKeys
from dvtfast.networks import ZERO_ROOT, Network, network_with_fork_version
from dvtfast.obol import consent, hashing
from dvtfast.obol.enr import public_key_of
from dvtfast.obol.lock import ClusterLock, Version
from dvtfast.secp256k1 import is_signed_by
from dvtfast.signatures import check_signatures, fast_aggregate_verify
from dvtfast.signing_roots import compute_signing_roots, deposit_signing_roots

SHOWN = 5  # of many names


class Verdict(StrEnum):
    """What came of a check."""

    OK = "ok"
    NOT_CHECKED = "not checked"
    FAULT = "fault"


@dataclass(frozen=True)
class Check:
    """One line of the verdict on a lock."""

    name: str
    verdict: Verdict
    detail: str


class UnverifiedLockError(FileError):
    """A lock whose hashes or signatures are wrong or missing; what it says may be right all the same.

    Attributes:
        faults: each of them.
    """

    def __init__(self, faults: Sequence[str], path: Path | None) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(faults), path)


class _FaultError(Exception):
    """What is wrong."""


class _NotCheckedError(Exception):
    """Why nothing can be said."""


def verify_cluster_lock(lock: ClusterLock, *, public_key_shares: PublicKeys | None = None) -> None:
    """Return when the hashes are right, and every key share and every node has signed the lock hash.

    Args:
        lock: the lock.
        public_key_shares: its public key shares, by a caller who has decoded them already.

    Raises:
        UnverifiedLockError: hashes or signatures are wrong, or missing: all of them.
        MissingExtraError: the extra `files` is not installed.
    """
    checks: list[Callable[[], str]] = [
        lambda: _check_config_hash(lock),
        lambda: _check_definition_hash(lock),
        lambda: _check_lock_hash(lock),
        lambda: _check_aggregate(lock, public_key_shares),
        lambda: _check_nodes(lock),
    ]
    verdicts = [_judged("", check) for check in checks]
    if faults := [verdict.detail for verdict in verdicts if verdict.verdict is Verdict.FAULT]:
        raise UnverifiedLockError(faults, lock.source)


def check_cluster_lock(lock: ClusterLock, *, threads: int | None = None) -> list[Check]:
    """The verdict on a lock, check by check; no fault hides another.

    Raises:
        MissingExtraError: the extra `files` is not installed.

    Cost: one signature check for each deposit and builder registration.
    """
    network: Network | None = None
    shares: PublicKeys | None = None

    def check_network() -> str:
        nonlocal network
        network = _network_of(lock)
        return f"{network.name}, chain {network.chain_id}"

    def check_keys() -> str:
        nonlocal shares
        shares = _decoded_shares(lock, threads)
        n, k = shares.shape
        return f"{n} validators: {k} shares each, any {lock.definition.threshold} give the public key"

    checks: list[tuple[str, Callable[[], str]]] = [
        ("network", check_network),
        ("config hash", lambda: _check_config_hash(lock)),
        ("definition hash", lambda: _check_definition_hash(lock)),
        ("definition signatures", lambda: _check_consent(lock, network)),
        ("lock hash", lambda: _check_lock_hash(lock)),
        ("keys and shares", check_keys),
        ("aggregate signature", lambda: _check_aggregate(lock, shares)),
        ("node signatures", lambda: _check_nodes(lock)),
        ("deposits", lambda: _check_deposits(lock, network, threads)),
        ("builder registrations", lambda: _check_registrations(lock, network, threads)),
    ]
    return [_judged(name, check) for name, check in checks]


def _judged(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, Verdict.OK, check())
    except _NotCheckedError as reason:
        return Check(name, Verdict.NOT_CHECKED, str(reason))
    except _FaultError as fault:
        return Check(name, Verdict.FAULT, str(fault))


def _network_of(lock: ClusterLock) -> Network:
    try:
        return network_with_fork_version(lock.definition.fork_version)
    except InputError as error:
        raise _FaultError(f"cluster_definition.{error}") from None


def _check_config_hash(lock: ClusterLock) -> str:
    definition = lock.definition
    return _same("cluster_definition.config_hash", definition.config_hash, hashing.config_hash(definition))


def _check_definition_hash(lock: ClusterLock) -> str:
    stated, computed = lock.definition.definition_hash, hashing.definition_hash(lock.definition)
    return _same("cluster_definition.definition_hash", stated, computed)


def _check_lock_hash(lock: ClusterLock) -> str:
    return _same("lock_hash", lock.lock_hash, hashing.lock_hash(lock))


def _same(name: str, stated: bytes, computed: bytes) -> str:
    if not stated:
        raise _FaultError(f"{name}: missing, expected {to_hex(computed)}")
    if stated != computed:
        raise _FaultError(f"{name}: does not fit the content, expected {to_hex(computed)}")
    return to_hex(stated)


def _check_consent(lock: ClusterLock, network: Network | None) -> str:
    if consent.is_unsigned(lock.definition):
        raise _NotCheckedError("the definition is unsigned, as of a cluster that one operator made")
    if missing := consent.missing_signatures(lock.definition):
        raise _FaultError(f"{_shown(missing)}: missing, but others have signed")
    if network is None:
        raise _NotCheckedError("the network is unknown")
    if unproven := consent.unproven_signatures(lock.definition, network):
        raise _NotCheckedError(
            f"{_shown([each.name for each in unproven])}: not by the key of the address;"
            " if it is a contract, only an execution node can tell"
        )
    return f"creator and {len(lock.definition.operators)} operators"


def _decoded_shares(lock: ClusterLock, threads: int | None) -> PublicKeys:
    try:
        _, shares = decode_cluster_keys(
            None,
            lock.public_keys,
            lock.public_key_shares,
            lock.share_indices,
            threshold=lock.definition.threshold,
            threads=threads,
        )
    except FileError as error:
        raise _FaultError(str(error)) from None
    return shares


def _check_aggregate(lock: ClusterLock, public_key_shares: PublicKeys | None) -> str:
    if not lock.signature_aggregate:
        raise _FaultError("signature_aggregate: empty, nobody has signed this lock")
    if not lock.lock_hash:
        raise _FaultError("signature_aggregate: of a lock hash that is missing")
    try:
        shares = PublicKeys(lock.public_key_shares) if public_key_shares is None else public_key_shares
        every = shares[np.ones(shares.shape, dtype=np.bool_)]
        fast_aggregate_verify(every, lock.lock_hash, lock.signature_aggregate)
    except (EncodingError, SignatureError):
        raise _FaultError("signature_aggregate: not the signature of all key shares") from None
    return f"by all {len(every)} key shares"


def _check_nodes(lock: ClusterLock) -> str:
    operators = lock.definition.operators
    if lock.definition.version < Version.REGISTRATIONS:
        raise _NotCheckedError(f"a lock of {lock.definition.version.text} has none")
    if not lock.node_signatures:
        raise _FaultError("node_signatures: empty, no node has signed this lock")
    if not lock.lock_hash:
        raise _FaultError("node_signatures: of a lock hash that is missing")
    first_with: dict[bytes, int] = {}
    for i, (operator, signature) in enumerate(zip(operators, lock.node_signatures, strict=True)):
        try:
            public_key = public_key_of(operator.enr)
        except InputError as error:
            raise _FaultError(f"cluster_definition.operators[{i}].enr: {error}") from None
        if (first := first_with.setdefault(public_key, i)) != i:
            raise _FaultError(
                f"cluster_definition.operators[{i}].enr: has the key of operators[{first}]; each node has its"
                " own"
            )
        if not is_signed_by(public_key, lock.lock_hash, signature):
            raise _FaultError(f"node_signatures[{i}]: not the signature of this node over the lock hash")
    return f"by all {len(operators)} nodes"


def _check_deposits(lock: ClusterLock, network: Network | None, threads: int | None) -> str:
    deposits = lock.deposits
    if not deposits.signatures.any():
        raise _NotCheckedError("there are none")
    if network is None:
        raise _NotCheckedError("the network is unknown")
    validators = np.arange(len(lock.public_keys)).repeat(deposits.counts.astype(np.int64))
    roots = deposit_signing_roots(
        deposits.public_keys, deposits.withdrawal_credentials, deposits.amounts_gwei, network
    )
    is_own = (deposits.public_keys == lock.public_keys[validators]).all(axis=1)
    _require_signed("deposit", lock, validators, is_own, roots, deposits.signatures, threads)
    return f"{len(roots)} deposits of {len(lock.public_keys)} validators are signed"


def _check_registrations(lock: ClusterLock, network: Network | None, threads: int | None) -> str:
    registrations = lock.registrations
    if not registrations.signatures.any():
        raise _NotCheckedError("there are none")
    if network is None:
        raise _NotCheckedError("the network is unknown")
    domain = compute_domain(DOMAIN_BUILDER, network.genesis_fork_version, ZERO_ROOT)
    roots = compute_signing_roots(hashing.registration_message_roots(registrations), domain)
    is_own = (registrations.public_keys == lock.public_keys).all(axis=1)
    validators = np.arange(len(lock.public_keys))
    _require_signed(
        "builder registration", lock, validators, is_own, roots, registrations.signatures, threads
    )
    return f"of {len(roots)} validators are signed"


def _require_signed(
    what: str,
    lock: ClusterLock,
    validators: np.ndarray[tuple[int], np.dtype[np.int64]],
    is_own: Bools,
    roots: Bytes,
    signatures: Bytes,
    threads: int | None,
) -> None:
    """Row i is of `validators[i]`, must have its key, and be signed by it."""
    try:
        ok = is_own & check_signatures(lock.public_keys[validators], roots, signatures, threads=threads)
    except EncodingError:
        raise _NotCheckedError("a validator's public key is invalid") from None
    if not ok.all():
        bad = [to_hex(lock.public_keys[i]) for i in dict.fromkeys(validators[~ok].tolist())]
        raise _FaultError(f"{what} not signed by its validator: {_shown(bad)}")


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
