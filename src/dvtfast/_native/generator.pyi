from typing import Self, final

from dvtfast._arrays import Bytes, Uint64s
from dvtfast._native.lanes import Lanes

@final
class Comb:
    def __new__(cls, lanes: Lanes | None) -> Self: ...

def multiply_generator(scalars: Bytes, points: Uint64s, comb: Comb | None, lanes: Lanes | None) -> None: ...
