"""Whether shares, deposits and proofs are right; each refusal names the field and the item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from eth_abi.abi import encode
from numpy.typing import NDArray

from dvtfast import (
    EncodingError,
    Network,
    PublicKeys,
    check_public_key_shares,
    check_signatures,
    deposit_data_roots,
    deposit_signing_roots,
    exit_signing_roots,
)
from dvtfast.constants import GWEI_PER_VALIDATOR, MAX_GWEI_PER_VALIDATOR
from dvtfast.ecies import decrypt_batch
from dvtfast.protocol_config import OracleConfig

from ...chain.encoding import keccak256
from ...wire import WireError
from .bodies import AnyApproval, Shards

ETH1, COMPOUNDING = 1, 2  # first bytes of withdrawal credentials
AMBIGUOUS_BYTES = 176, 184  # of an item of each type: a vault cannot tell a length that both divide


def check_shapes(request: Shards, config: OracleConfig, limit_name: str) -> None:
    """As many of each as there must be."""
    n, k = len(request.public_keys), len(config.public_keys)
    limit = config.raw.get(limit_name)
    if isinstance(limit, int) and n > limit:
        raise WireError("public_keys", f"expected at most {limit}, got {n}")
    if len(set(request.public_keys)) != n:
        raise WireError("public_keys", "expected different ones")
    fields: dict[str, Sequence[Sequence[bytes]]] = {
        "public_key_shards": request.public_key_shards,
        "exit_signature_shards": request.exit_signature_shards,
    }
    for name, lists in fields.items():
        if len(lists) != n:
            raise WireError(name, f"expected {n}, as many as public_keys, got {len(lists)}")
        for i, shards in enumerate(lists):
            if len(shards) != k:
                raise WireError(f"{name}[{i}]", f"expected {k}, one for each oracle, got {len(shards)}")


def check_shards(
    request: Shards, config: OracleConfig, position: int, secret: bytes, indices: Any, network: Network
) -> None:
    """The shares of the oracle at `position`, and that the public keys of all make the validators'.

    Args:
        indices: of the validators, as their exits have them.
    """
    keys = _public_keys("public_keys", request.public_keys)
    flat = [key for shards in request.public_key_shards for key in shards]
    n, k = len(request.public_keys), len(config.public_keys)
    encoded = np.frombuffer(b"".join(flat), np.uint8).reshape(n, k, -1)
    try:
        shares = PublicKeys(encoded)
    except EncodingError as error:
        raise WireError(f"public_key_shards[{error.indices[0] // k}]", "not valid public keys") from None
    on_polynomial = check_public_key_shares(
        keys,
        shares,
        np.arange(1, k + 1, dtype=np.uint64),
        threshold=config.exit_signature_recover_threshold,
    )
    _require("public_key_shards", on_polynomial, "they do not make the validator's public key")
    try:
        signatures = decrypt_batch([shards[position] for shards in request.exit_signature_shards], secret)
    except EncodingError as error:
        raise WireError(
            f"exit_signature_shards[{error.indices[0]}][{position}]", "not encrypted to this oracle"
        ) from None
    verdicts = check_signatures(shares[:, position], exit_signing_roots(indices, network), signatures)
    _require("exit_signature_shards", verdicts, "does not verify under its public key", f"[{position}]")


def check_deposits(
    request: AnyApproval, amounts: Sequence[int] | None, network: Network
) -> tuple[int, bytes]:
    """The type of the validators, and their bytes as the oracles sign them.

    Amounts are those of the second type. Without any it is the first, of 32 ETH each.
    """
    n = len(request.public_keys)
    if len(request.deposit_signatures) != n:
        got = len(request.deposit_signatures)
        raise WireError("deposit_signatures", f"expected {n}, as many as public_keys, got {got}")
    if amounts is not None and len(amounts) != n:
        raise WireError("amounts", f"expected {n}, as many as public_keys, got {len(amounts)}")
    gwei = [GWEI_PER_VALIDATOR] * n if amounts is None else list(amounts)
    least, most = GWEI_PER_VALIDATOR, MAX_GWEI_PER_VALIDATOR
    if wrong := [i for i, each in enumerate(gwei) if not least <= each <= most]:
        raise WireError(f"amounts[{wrong[0]}]", f"expected {least}..{most} gwei")
    kind, other = (ETH1, COMPOUNDING) if amounts is None else (COMPOUNDING, ETH1)
    keys = _public_keys("public_keys", request.public_keys)
    verdicts = _deposit_verdicts(request, keys, kind, gwei, network)
    if not verdicts.all() and _deposit_verdicts(request, keys, other, gwei, network).all():
        wanted = "null" if other == ETH1 else "a list"
        raise WireError("amounts", f"expected {wanted} for validators of type 0x{other:02x}")
    _require("deposit_signatures", verdicts, "does not verify for this vault and amount")
    return kind, validators_bytes(request, kind, gwei)


def validators_bytes(request: AnyApproval, kind: int, amounts: Sequence[int]) -> bytes:
    """The validators, one behind the other: key, signature, deposit data root, and the amount of type 2."""
    credentials = [_credentials(request.vault_address, kind)] * len(amounts)
    roots = deposit_data_roots(request.public_keys, credentials, amounts, request.deposit_signatures)
    items = [
        bytes(key) + signature + root.tobytes() + (amount.to_bytes(8, "big") if kind == COMPOUNDING else b"")
        for key, signature, root, amount in zip(
            request.public_keys, request.deposit_signatures, roots, amounts, strict=True
        )
    ]
    joined = b"".join(items)
    if all(len(joined) % width == 0 for width in AMBIGUOUS_BYTES):
        raise WireError("public_keys", f"a vault cannot tell the type of {len(items)} of these")
    return joined


def multiproof_root(leaves: Sequence[bytes], proof: Sequence[bytes], flags: Sequence[bool]) -> bytes | None:
    """The root that leaves lead to in OpenZeppelin's way; None when these do not fit together."""
    if len(leaves) + len(proof) != len(flags) + 1:
        return None
    queue, given = list(leaves), list(proof)
    for flag in flags:
        if len(queue) < 1 + flag or not (flag or given):
            return None
        first = queue.pop(0)
        second = queue.pop(0) if flag else given.pop(0)
        queue.append(keccak256(min(first, second) + max(first, second)))
    rest = queue + given
    return rest[0] if len(rest) == 1 else None


def deposit_data_leaf(item: bytes, place: int) -> bytes:
    """A validator in the tree of deposit data."""
    return keccak256(keccak256(encode(["bytes", "uint256"], [item, place])))


def upload_of(request: Shards) -> bytes:
    """What goes to IPFS: the same for all oracles, whatever spelling they were sent."""
    content = {
        "vault_address": "0x" + request.vault_address.to_wire()[2:].lower(),
        "public_keys": [key.to_wire() for key in request.public_keys],
        "public_key_shards": [[key.to_wire() for key in each] for each in request.public_key_shards],
        "exit_signature_shards": [
            [shard.to_wire() for shard in each] for each in request.exit_signature_shards
        ],
        "deadline": int(request.deadline),
    }
    return msgspec.json.encode(content)


def _public_keys(name: str, keys: Sequence[bytes]) -> PublicKeys:
    try:
        return PublicKeys(keys)
    except EncodingError as error:
        raise WireError(f"{name}[{error.indices[0]}]", "not a valid public key") from None


def _credentials(vault: bytes, kind: int) -> bytes:
    return bytes([kind]) + bytes(11) + bytes(vault)


def _deposit_verdicts(
    request: AnyApproval, keys: PublicKeys, kind: int, amounts: Sequence[int], network: Network
) -> NDArray[np.bool_]:
    credentials = [_credentials(request.vault_address, kind)] * len(amounts)
    roots = deposit_signing_roots(request.public_keys, credentials, amounts, network)
    return check_signatures(keys, roots, request.deposit_signatures)


def _require(name: str, verdicts: NDArray[np.bool_], reason: str, behind: str = "") -> None:
    if not verdicts.all():
        raise WireError(f"{name}[{int(np.flatnonzero(~verdicts)[0])}]{behind}", reason)
