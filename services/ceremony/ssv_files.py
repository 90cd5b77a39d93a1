"""The same keys for SSV's contract: keyshares.json, whole or not at all, and verified from the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dvtfast import FileError, ssv

from ..files import paths


def write_ssv_keyshares(
    path: Path, validators: Sequence[ssv.KeyShares], operator_keys: Mapping[int, ssv.OperatorPublicKey]
) -> None:
    """Write a new keyshares file v1.2 of validators that are right.

    Raises:
        FileError: a file is there, or a validator is wrong.
    """
    if paths.is_there(path):
        raise FileError("is there already", path)
    _require_right(path, validators)
    ssv.write_keyshares(path, validators, operator_keys)
    written = ssv.read_keyshares(path)
    _require_right(path, written)
    if [each.shares_data for each in written] != [each.shares_data for each in validators]:
        raise FileError("not what was to be written", path)


def _require_right(path: Path, validators: Sequence[ssv.KeyShares]) -> None:
    for validator, problem in zip(validators, ssv.check_key_shares(validators), strict=True):
        if problem:
            raise FileError(f"validator with nonce {validator.owner_nonce}: {problem}", path)
