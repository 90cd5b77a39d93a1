"""The registration bundle: JSON, written whole or not at all.

version                              1
network                              mainnet, hoodi or gnosis
exit_signature_recover_threshold     of the oracles; null when no config was given
validators                           in the order of the deposit data, each with
    public_key, validator_index (null when the relayer chose it), amount_gwei,
    withdrawal_credentials, deposit_signature, deposit_data_root,
    oracles_exit_signature_shares: public_keys and encrypted_exit_signatures, in oracle order
checked
    vault                            whom all deposits go back to; their signatures verify, their amounts fit
    oracle_shares                    whether there are as many as oracles, which interpolate to the keys
    validator_indices                "told by the relayer", which goes by them or lists just these; or null
    exit_signatures                  false: they are encrypted, and only the oracles can tell
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dvtfast.deposits import DepositData
from dvtfast.protocol_config import OracleConfig

from ... import wire

VERSION = 1


def make_bundle(
    deposits: DepositData,
    shares: Mapping[bytes, wire.OraclesExitSignatureShares],
    *,
    start_index: int | None,
    oracles: OracleConfig | None,
    vault: bytes,
) -> wire.RegistrationBundle:
    """The bundle of all validators that have shares.

    Args:
        start_index: where the relayer said that its exits are for the indices from it on.
        vault: that the deposits were checked for.
    """
    validators = []
    for i, row in enumerate(deposits.public_keys):
        if (of_key := shares.get(row.tobytes())) is not None:
            validators.append(
                wire.RegisteredValidator(
                    public_key=wire.PublicKey(row.tobytes()),
                    validator_index=None if start_index is None else wire.UInt64(start_index + i),
                    amount_gwei=wire.UInt64(deposits.amounts_gwei[i]),
                    withdrawal_credentials=wire.WithdrawalCredentials(
                        deposits.withdrawal_credentials[i].tobytes()
                    ),
                    deposit_signature=wire.Signature(deposits.signatures[i].tobytes()),
                    deposit_data_root=wire.Root(deposits.data_roots[i].tobytes()),
                    oracles_exit_signature_shares=of_key,
                )
            )
    threshold = oracles.exit_signature_recover_threshold if oracles else None
    checked = wire.BundleChecks(
        vault=wire.Address(vault),
        oracle_shares=oracles is not None,
        validator_indices=None if start_index is None else "told by the relayer",
    )
    return wire.RegistrationBundle(VERSION, deposits.network.name, threshold, validators, checked)


def write_bundle(path: Path, bundle: wire.RegistrationBundle) -> None:
    """Write the file; a crash leaves the old one, or the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(wire.encode(bundle))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
