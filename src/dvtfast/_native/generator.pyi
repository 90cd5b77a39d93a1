from dvtfast._arrays import Bytes, Uint64s
from dvtfast._native.lanes import Lanes

class Comb:
    def __init__(self, lanes: Lanes | None) -> None: ...

def multiply_generator(scalars: Bytes, points: Uint64s, comb: Comb | None, lanes: Lanes | None) -> None: ...
