from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from dvtfast._arrays import Bytes, Uint64s

@final
class Rule:
    def __new__(cls, factors: bytes, negative: bytes, scale: bytes, bits: int) -> Self: ...

def reduce_scalars(wide: Bytes, scalars: Bytes) -> None: ...
def evaluate(coefficients: Bytes, share_indices: Uint64s, values: Bytes) -> None: ...
def recover_secret_keys(
    key_shares: Bytes, coefficients: Bytes, secret_keys: Bytes, status: Bytes
) -> None: ...
def recover_public_keys(shares: Uint64s, coefficients: Bytes, public_keys: Bytes, status: Bytes) -> None: ...
def on_polynomial(points: Uint64s, weights: Uint64s, coefficients: Bytes) -> bool: ...
def recover_signatures(partial_signatures: Bytes, rule: Rule, signatures: Bytes, status: Bytes) -> None: ...
def recover_and_check(
    partial_signatures: Bytes,
    rules: list[Rule],
    rule_of: NDArray[np.uint32],
    public_keys: Uint64s,
    signing_roots: Bytes,
    weights: Uint64s,
    signatures: Bytes,
    status: Bytes,
) -> None: ...
def compare_interpolated(base: Bytes, candidates: Bytes, rule: Rule, status: Bytes) -> None: ...
