from typing import Self, final

from dvtfast._arrays import Bytes, Uint64s
from dvtfast._native.lanes import Lanes

@final
class BaseTable:
    def __new__(cls, lanes: Lanes | None) -> Self: ...

def split_for_oracles(
    signatures: Bytes,
    public_keys: Uint64s,
    hashes: Uint64s,
    masks: Bytes,
    table: BaseTable,
    public_key_shares: Bytes,
    signature_shares: Bytes,
    status: Bytes,
    lanes: Lanes | None,
) -> None: ...
