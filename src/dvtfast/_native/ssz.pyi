from dvtfast._arrays import Bytes, Uint64s

def roots(
    types: Uint64s, fields: Uint64s, data: Bytes, ends: Uint64s, roots: Bytes, status: Bytes, where: Uint64s
) -> None: ...
