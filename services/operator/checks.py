"""What must be true of a relayer's answer before anybody registers with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dvtfast import PublicKeys, check_public_key_shares, check_public_keys
from dvtfast.protocol_config import OracleConfig

from .. import wire


def wrong_shares(
    public_keys: Sequence[bytes],
    shares: Mapping[bytes, wire.OraclesExitSignatureShares],
    oracles: OracleConfig,
) -> dict[bytes, str]:
    """Validators whose shares are not one for each oracle on one polynomial with the validator's key.

    The encrypted signatures can only be read by the oracles; these verify them.
    """
    k = len(oracles.public_keys)
    wrong = {
        key: f"expected {k} oracle shares, got {len(of_key.public_keys)} public key shares and"
        f" {len(of_key.encrypted_exit_signatures)} encrypted signatures"
        for key in public_keys
        if len((of_key := shares[key]).public_keys) != k or len(of_key.encrypted_exit_signatures) != k
    }
    complete = [key for key in public_keys if key not in wrong]
    rows = b"".join(share for key in complete for share in shares[key].public_keys)
    key_shares = np.frombuffer(rows, np.uint8).reshape(len(complete), k, wire.PublicKey.width)
    share_ok = check_public_keys(key_shares.reshape(-1, wire.PublicKey.width))
    valid = np.atleast_1d(share_ok.reshape(-1, k).all(axis=1))
    wrong |= {
        key: "a public key share is no public key" for key, ok in zip(complete, valid, strict=True) if not ok
    }
    decoded = [key for key, ok in zip(complete, valid, strict=True) if ok]
    ok = check_public_key_shares(
        PublicKeys(decoded),
        PublicKeys(key_shares[valid]),
        np.arange(1, k + 1, dtype=np.uint64),
        threshold=oracles.exit_signature_recover_threshold,
    )
    wrong |= {
        key: "the public key shares do not interpolate to the validator's key"
        for key, good in zip(decoded, np.atleast_1d(ok), strict=True)
        if not good
    }
    return wrong
