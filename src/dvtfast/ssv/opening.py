"""The key shares of one operator: decrypted, and each checked against its public key share."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._files import to_hex
from dvtfast._parallel import for_slices
from dvtfast._secrets import wiped
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.keys import check_secret_keys, derive_public_keys
from dvtfast.ssv.operator_keys import OperatorKey
from dvtfast.ssv.shares import KeyShares

# ssv-keys writes 0x, SSV's DKG does not; leading zeros may be missing.
PLAINTEXT: Final = re.compile(rb"(?:0x)?([0-9a-fA-F]{1,64})")


@dataclass(frozen=True, eq=False)
class OpenedKeyShares:
    """What an operator holds of n validators.

    Attributes:
        key_shares: uint8[n, 32].
        public_key_shares: uint8[n, 48].
        public_keys: uint8[n, 48], of the validators.
        problems: one line for each validator whose share does not open.
    """

    key_shares: Bytes = field(repr=False)
    public_key_shares: Bytes
    public_keys: Bytes
    problems: tuple[str, ...]


def open_key_shares(
    validators: Sequence[KeyShares],
    operator_id: int,
    key: OperatorKey,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> OpenedKeyShares:
    """Decrypt the shares of one operator; validators that are not its own are left out.

    Whether the padding, the hex, or the key in it is wrong cannot be told apart: all such shares have the
    same line in `problems`.

    Args:
        threads: at most.
        progress: called with the number done and the number of shares, from any thread.

    Cost: one RSA decryption, 0.3 ms, and one multiplication in G1 for each share.
    """
    ours = [item for item in validators if operator_id in item.operator_ids]
    columns = [item.operator_ids.index(operator_id) for item in ours]
    key_shares = np.zeros((len(ours), SECRET_KEY_BYTES), dtype=np.uint8)
    counter = itertools.count(1)

    def decrypt(rows: slice) -> None:
        for i in range(rows.start, rows.stop):
            plaintext = key.decrypt(ours[i].encrypted_shares[columns[i]].tobytes())
            if found := PLAINTEXT.fullmatch(plaintext):
                digits = found[1].rjust(2 * SECRET_KEY_BYTES, b"0")
                key_shares[i] = np.frombuffer(bytes.fromhex(digits.decode()), dtype=np.uint8)
            done = next(counter)
            if progress:
                progress(done, len(ours))

    with wiped(key_shares):
        for_slices(len(ours), decrypt, threads=threads)
        listed = _stacked(
            [item.public_key_shares[column] for item, column in zip(ours, columns, strict=True)]
        )
        good = check_secret_keys(key_shares)  # those that did not open are zero
        derived = np.zeros_like(listed)
        candidates = key_shares[good]
        with wiped(candidates):
            derived[good] = derive_public_keys(candidates, threads=threads)
        good &= (derived == listed).all(axis=1)
        opened = key_shares[good]
    return OpenedKeyShares(
        key_shares=opened,
        public_key_shares=listed[good],
        public_keys=_stacked([np.frombuffer(item.public_key, np.uint8) for item in ours])[good],
        problems=tuple(
            f"validator {to_hex(item.public_key)}: what is encrypted for operator {operator_id} is not its"
            " key share, or is for another key"
            for item, is_good in zip(ours, good, strict=True)
            if not is_good
        ),
    )


def _stacked(rows: Sequence[Bytes]) -> Bytes:
    return np.array(rows, dtype=np.uint8).reshape(-1, PUBLIC_KEY_BYTES)
