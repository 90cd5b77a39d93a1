from typing import Self, final

from dvtfast._arrays import Bytes, Uint64s

@final
class SplitTables:
    def __new__(cls, exponent_x: bytes, exponent_y: bytes) -> Self: ...

def split_for_oracles(
    signatures: Bytes,
    public_keys: Uint64s,
    signing_roots: Bytes,
    masks: Bytes,
    tables: SplitTables,
    public_key_shares: Bytes,
    signature_shares: Bytes,
    status: Bytes,
) -> None: ...
