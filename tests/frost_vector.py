"""Makes `tests/vectors/frost.json`: a key generation whose coefficients and nonces everybody can compute.

`python -m tests.frost_vector` writes it anew.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import numpy as np

from dvtfast.constants import CURVE_ORDER
from dvtfast.dkg.frost import keygen
from dvtfast.dkg.frost.broadcast import Broadcasts
from dvtfast.dkg.frost.casts import Round1, Shares
from dvtfast.dkg.frost.dialects import ROUND1, V1_10, V1_11
from dvtfast.dkg.frost.messages import Wrapped
from dvtfast.dkg.frost.steps import Steps
from dvtfast.dkg.polynomials import Coefficients
from tests.frost_nodes import DEFINITION_HASH, node_keys
from tests.vector_files import VECTORS

N, T, M = 3, 2, 2
FILE = VECTORS / "frost.json"


def scalar(name: str) -> bytes:
    """A scalar that follows from its name."""
    wide = sha256(f"dvtfast frost vector/{name}".encode()).digest()
    return (int.from_bytes(wide, "big") % CURVE_ORDER).to_bytes(32, "big")


def rows(names: list[list[str]]) -> np.ndarray:
    joined = b"".join(scalar(name) for of_one in names for name in of_one)
    return np.frombuffer(joined, np.uint8).reshape(len(names), len(names[0]), 32).copy()


def texts(array: np.ndarray) -> Any:
    """Rows as hex."""
    return array.tobytes().hex() if array.ndim == 1 else [texts(row) for row in array]


def make() -> dict[str, Any]:
    """The content of the file."""
    keys = node_keys(N)
    nodes = [key.public_key for key in keys]
    scalars = [rows([[f"a/{i}/{v}/{k}" for k in range(T)] for v in range(M)]) for i in range(N)]
    nonces = [rows([[f"k/{i}/{v}"] for v in range(M)])[:, 0].copy() for i in range(N)]
    said = [texts(each) for each in nonces]
    dealings = [keygen.Dealing(Coefficients.from_bytes(scalars[i]), i, nonces=nonces[i]) for i in range(N)]
    casts = [dealing.cast for dealing in dealings]
    combined = [
        keygen.combine(casts, [Shares(dealing.shares_for(i)) for dealing in dealings], i)[0] for i in range(N)
    ]
    vector: dict[str, Any] = {
        "definition_hash": DEFINITION_HASH.hex(),
        "nodes": N,
        "threshold": T,
        "validators": M,
        "node_keys": [node.hex() for node in nodes],
        "coefficients": [texts(each) for each in scalars],
        "nonces": said,
        "round1": [cast.encode(i).hex() for i, cast in enumerate(casts)],
        "shares": [
            [Shares(dealing.shares_for(j)).encode(i, j).hex() if i != j else "" for j in range(N)]
            for i, dealing in enumerate(dealings)
        ],
        "public_keys": texts(combined[0].public_keys),
        "public_shares": texts(combined[0].public_shares),
        "secret_shares": [texts(keys.secret_shares) for keys in combined],
        "broadcasts": {},
        "reports": {},
    }
    for dialect in (V1_10, V1_11):
        hash_ = (dialect, DEFINITION_HASH)
        parties = [Broadcasts(*hash_, key, nodes, i) for i, key in enumerate(keys)]
        messages = []
        for i, cast in enumerate(casts):
            request = parties[i].begin(ROUND1, Wrapped.of(Round1.NAME, cast.encode(i)))
            answers = [(j, parties[j].sign(i, request, lambda *_: None)) for j in range(N) if j != i]
            whole = [parties[i].answered(j, answer) for j, answer in answers][-1]
            assert whole is not None
            messages.append(whole.encode().hex())
        vector["broadcasts"][dialect.version] = messages
        steps = [Steps(*hash_, key, nodes, i) for i, key in enumerate(keys)]
        for each in steps:
            each.own = 1
        vector["reports"][dialect.version] = [each.report(1_700_000_000, 5).hex() for each in steps]
    return vector


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1) + "\n")
