from dvtfast._arrays import Uint64s
from dvtfast._native.lanes import Lanes

ZERO_WEIGHTS: tuple[int, int]

def weigh_keys(points: Uint64s, words: Uint64s, weighted: Uint64s, lanes: Lanes | None) -> None: ...
def sum_signatures(points: Uint64s, words: Uint64s, total: Uint64s, lanes: Lanes | None) -> bool: ...
