"""StakeWise's dump of the first validators: a flat file of records, whose places are validator indices.

Source: StakeWise dvt-relayer, which reads the same file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dvtfast import Network
from dvtfast.constants import PUBLIC_KEY_BYTES

from ...process.offload import UnavailableError

RECORD = np.dtype([("block", ">u4"), ("public_key", f"S{PUBLIC_KEY_BYTES}")])
SIZE_LIMIT_BYTES = 1 << 30  # twenty million validators
# The first bits of a public key: compressed, and not infinity.
ENCODING_MASK, COMPRESSED = 0xC0, 0x80


class DumpError(UnavailableError):
    """A file that is no such dump; the message names it."""


@dataclass(frozen=True, eq=False)
class Dump:
    """The first validators, in the order of their public keys.

    Attributes:
        public_keys: uint8[n, 48]
        blocks: uint32[n]; of the deposits that made them.
        indices: intp[n]
    """

    public_keys: npt.NDArray[np.uint8]
    blocks: npt.NDArray[np.uint32]
    indices: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.blocks)


def count_dump(path: Path) -> int:
    """How many records a dump has, from its size.

    Raises:
        DumpError: it is no multiple of a record.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DumpError(f"{path}: cannot read it: {error.strerror}") from None
    if size % RECORD.itemsize or not 0 < size <= SIZE_LIMIT_BYTES:
        raise DumpError(f"{path}: expected records of {RECORD.itemsize} bytes, got {size} bytes in all")
    return size // RECORD.itemsize


def read_dump(path: Path, network: Network) -> Dump:
    """Read the dump of a network.

    Raises:
        DumpError: it is damaged, or of another network: blocks go back or are not those of the network's
            dump, keys repeat or cannot be any.
    """
    n = count_dump(path)
    try:
        records = np.fromfile(path, RECORD, count=n)
    except OSError as error:
        raise DumpError(f"{path}: cannot read it: {error.strerror}") from None
    if len(records) != n:
        raise DumpError(f"{path}: expected {n} records, got {len(records)}: is it still being written?")
    blocks = records["block"].astype(np.uint32)
    _refuse(path, np.flatnonzero(blocks[1:] < blocks[:-1]) + 1, "a block before that of the record before")
    first, last = network.deposit_contract_block, network.genesis_validators_last_block
    _refuse(path, np.flatnonzero((blocks < first) | (blocks > last)), f"a block outside {first}..{last}")
    rows = records.view(np.uint8).reshape(n, -1)[:, -PUBLIC_KEY_BYTES:]
    _refuse(path, np.flatnonzero(rows[:, 0] & ENCODING_MASK != COMPRESSED), "no public key")
    order = np.argsort(records["public_key"], kind="stable")
    keys = np.ascontiguousarray(rows[order])
    _refuse(
        path, np.sort(order[1:][(keys[1:] == keys[:-1]).all(axis=1)]), "a public key that was there before"
    )
    return Dump(keys, blocks[order], order)


def _refuse(path: Path, records: npt.NDArray[np.intp], what: str) -> None:
    if not records.size:
        return
    raise DumpError(f"{path}: record {records[0]} has {what} ({records.size} such records)")
