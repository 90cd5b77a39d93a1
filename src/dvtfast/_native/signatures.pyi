from dvtfast._arrays import Bytes, Uint64s
from dvtfast._native.lanes import Lanes

def derive_public_keys(secret_keys: Bytes, public_keys: Bytes, status: Bytes) -> None: ...
def check_secret_keys(secret_keys: Bytes, status: Bytes) -> None: ...
def sign(
    secret_keys: Bytes, signing_roots: Bytes, signatures: Bytes, status: Bytes, lanes: Lanes | None
) -> None: ...
def sign_exits(
    secret_keys: Bytes,
    epoch: int,
    validator_indices: Uint64s,
    domain: Bytes,
    signatures: Bytes,
    status: Bytes,
    lanes: Lanes | None,
) -> None: ...
def check(
    public_keys: Uint64s,
    hashes: Uint64s,
    signatures: Bytes,
    weights: Uint64s,
    status: Bytes,
    lanes: Lanes | None,
) -> None: ...
def check_alone(
    public_keys: Uint64s, hashes: Uint64s, signatures: Bytes, status: Bytes, lanes: Lanes | None
) -> None: ...
def aggregate(signatures: Bytes, total: Bytes, status: Bytes) -> None: ...
def fast_aggregate_verify(public_keys: Uint64s, root_hash: Uint64s, signature: Bytes) -> int: ...
def aggregate_verify(public_keys: Uint64s, hashes: Uint64s, signature: Bytes) -> int: ...
