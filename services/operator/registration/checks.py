"""What must be true of a relayer's answer before anybody registers with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dvtfast import EncodingError, PublicKeys, check_public_key_shares
from dvtfast.protocol_config import OracleConfig

from ... import wire


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
    try:
        decoded_shares = PublicKeys(key_shares)
    except EncodingError as error:
        # Rare, so the others are simply looked at once more.
        bad = {complete[row] for row in np.array(error.indices) // k}
        wrong |= dict.fromkeys(bad, "a public key share is no public key")
        good = {key: shares[key] for key in complete if key not in bad}
        return wrong | wrong_shares(list(good), good, oracles)
    ok = check_public_key_shares(
        PublicKeys(complete),
        decoded_shares,
        np.arange(1, k + 1, dtype=np.uint64),
        threshold=oracles.exit_signature_recover_threshold,
    )
    wrong |= {
        key: "the public key shares do not interpolate to the validator's key"
        for key, fits in zip(complete, np.atleast_1d(ok), strict=True)
        if not fits
    }
    return wrong
