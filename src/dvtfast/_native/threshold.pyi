import numpy as np
from numpy.typing import NDArray

from dvtfast._arrays import Bytes, Uint64s
from dvtfast._native.interpolation import Rule
from dvtfast._native.lanes import Lanes

def fill_with_random_bytes(rows: Bytes) -> None: ...
def reduce_scalars(wide: Bytes, scalars: Bytes) -> None: ...
def evaluate(coefficients: Bytes, share_indices: Uint64s, values: Bytes) -> None: ...
def recover_secret_keys(
    key_shares: Bytes, coefficients: Bytes, secret_keys: Bytes, status: Bytes
) -> None: ...
def recover_public_keys(shares: Uint64s, coefficients: Bytes, public_keys: Bytes, status: Bytes) -> None: ...
def on_polynomial(points: Uint64s, weights: Uint64s, coefficients: Bytes) -> bool: ...
def recover_signatures(
    partial_signatures: Bytes, rule: Rule, signatures: Bytes, status: Bytes, lanes: Lanes | None
) -> None: ...
def recover_and_check(
    partial_signatures: Bytes,
    rules: list[Rule],
    rule_of: NDArray[np.uint32],
    public_keys: Uint64s,
    hashes: Uint64s,
    weights: Uint64s,
    signatures: Bytes,
    status: Bytes,
    lanes: Lanes | None,
) -> None: ...
