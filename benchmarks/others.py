"""The same work by others: loops over C, over bindings from PyPI, in pure Python, and in Node.

None of them has a batch to gain from, but for @chainsafe/blst; so few items tell what one costs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coincurve
import ecies
import numpy as np
import pyblst
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from dvtfast_baselines import naive
from py_ecc.bls import G2ProofOfPossession, g2_primitives
from py_ecc.optimized_bls12_381 import add, multiply

import dvtfast
from dvtfast.constants import CURVE_ORDER, DST_SIGNATURE
from dvtfast.keys import points_of, random_scalars

from .cases import ORACLES, Bytes, Exits, oracle_keys, oracle_public_keys

G1 = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)
# Where `make bench` installs @chainsafe/blst.
CHAINSAFE_SCRIPT = Path(__file__).with_name("chainsafe.cjs")
NODE_MODULES = Path(__file__).parents[1] / "build" / "npm" / "node_modules"


# --- naive: compiled loops over blst ---


def naive_sign(exits: Exits) -> Callable[[], Bytes]:
    """Signatures, one by one."""
    signatures = np.zeros((len(exits), 96), dtype=np.uint8)

    def run() -> Bytes:
        naive.sign(exits.secret_keys, exits.signing_roots, signatures)
        return signatures

    return run


def naive_verify(exits: Exits) -> Callable[[], Bytes]:
    """Verdicts, one by one."""
    ok = np.zeros(len(exits), dtype=np.uint8)

    def run() -> Bytes:
        naive.verify(exits.public_keys.encoded, exits.signing_roots, exits.signatures, ok)
        return ok

    return run


def naive_recover_and_check(exits: Exits) -> Callable[[], Bytes]:
    """Signatures from the first shares, each of which is verified."""
    t = exits.cluster.threshold
    values = dvtfast.lagrange_coefficients(exits.cluster.share_indices[:t])
    coefficients = scalar_rows(values)
    shares = np.ascontiguousarray(exits.partial_signatures[:, :t])
    keys, key_shares = points_of(exits.public_keys), points_of(exits.public_key_shares[:, :t])
    roots = exits.signing_roots
    signatures = np.zeros((len(exits), 96), dtype=np.uint8)
    ok = np.zeros(len(exits), dtype=np.uint8)

    def run() -> Bytes:
        naive.recover_and_check(keys, key_shares, roots, shares, coefficients, signatures, ok)
        assert ok.all()
        return signatures

    return run


def naive_split(exits: Exits, threshold: int, coefficients: Bytes) -> Callable[[], tuple[Bytes, Bytes]]:
    """Public key shares and signature shares of polynomials uint8[n, t - 1, 32], little-endian."""
    keys = np.zeros((len(exits), ORACLES, 48), dtype=np.uint8)
    signatures = np.zeros((len(exits), ORACLES, 96), dtype=np.uint8)

    def run() -> tuple[Bytes, Bytes]:
        naive.split(
            exits.signatures,
            points_of(exits.public_keys),
            exits.signing_roots,
            coefficients,
            keys,
            signatures,
        )
        return keys, signatures

    return run


# --- pyblst: loops over the best BLS binding on PyPI ---


def pyblst_verifies(key: Any, root_hash: Any, signature: Any) -> bool:
    """One signature, all decoded; pyblst checks groups when it decodes."""
    generator = pyblst.BlstP1Element().uncompress(G1)
    return bool(
        pyblst.final_verify(pyblst.miller_loop(key, root_hash), pyblst.miller_loop(generator, signature))
    )


def pyblst_hash(root: bytes) -> Any:
    """To G2."""
    return pyblst.BlstP2Element().hash_to_group(root, DST_SIGNATURE)


def pyblst_keys(rows: Bytes) -> list[Any]:
    """Decoded public keys."""
    return [pyblst.BlstP1Element().uncompress(row.tobytes()) for row in rows]


def pyblst_recover_and_check(exits: Exits) -> Callable[[], Bytes]:
    """As the naive loop, from Python."""
    t = exits.cluster.threshold
    values = dvtfast.lagrange_coefficients(exits.cluster.share_indices[:t])
    keys = pyblst_keys(exits.public_keys.encoded)
    key_shares = [pyblst_keys(row[:t]) for row in exits.public_key_shares.encoded]

    def run() -> Bytes:
        signatures = np.zeros((len(exits), 96), dtype=np.uint8)
        for i, key in enumerate(keys):
            root_hash = pyblst_hash(exits.signing_roots[i].tobytes())
            total = pyblst.BlstP2Element()
            for j, value in enumerate(values):
                share = pyblst.BlstP2Element().uncompress(exits.partial_signatures[i, j].tobytes())
                assert pyblst_verifies(key_shares[i][j], root_hash, share)
                total = total + share.scalar_mul(value)
            assert pyblst_verifies(key, root_hash, total)
            signatures[i] = np.frombuffer(total.compress(), dtype=np.uint8)
        return signatures

    return run


def pyblst_split(exits: Exits, threshold: int, coefficients: Bytes) -> Callable[[], tuple[Bytes, Bytes]]:
    """From Python small powers cost as much as any scalar: so f(j) first, then one multiplication."""
    factors = [[int.from_bytes(row.tobytes(), "little") for row in rows] for rows in coefficients]
    generator = pyblst.BlstP1Element().uncompress(G1)

    def run() -> tuple[Bytes, Bytes]:
        keys = np.zeros((len(exits), ORACLES, 48), dtype=np.uint8)
        signatures = np.zeros((len(exits), ORACLES, 96), dtype=np.uint8)
        for i, values in enumerate(factors):
            root_hash = pyblst_hash(exits.signing_roots[i].tobytes())
            signature = pyblst.BlstP2Element().uncompress(exits.signatures[i].tobytes())
            key = pyblst.BlstP1Element().uncompress(exits.public_keys.encoded[i].tobytes())
            for j in range(1, ORACLES + 1):
                mask = sum(value * j ** (m + 1) for m, value in enumerate(values)) % CURVE_ORDER
                share, key_share = signature + root_hash.scalar_mul(mask), key + generator.scalar_mul(mask)
                signatures[i, j - 1] = np.frombuffer(share.compress(), dtype=np.uint8)
                keys[i, j - 1] = np.frombuffer(key_share.compress(), dtype=np.uint8)
        return keys, signatures

    return run


def coincurve_encrypt(shares: Bytes) -> Callable[[], list[list[bytes]]]:
    """ECIES as eciespy does it, one message at a time, over coincurve and cryptography."""
    receivers = [coincurve.PublicKey(b"\x04" + row.tobytes()) for row in oracle_public_keys()]

    def encrypt(receiver: coincurve.PublicKey, message: bytes) -> bytes:
        ephemeral = coincurve.PrivateKey()
        sender = ephemeral.public_key.format(compressed=False)
        shared = receiver.multiply(ephemeral.secret).format(compressed=False)
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=None).derive(sender + shared)
        nonce = np.random.bytes(16)
        sealed = AESGCM(key).encrypt(nonce, message, None)
        return sender + nonce + sealed[-16:] + sealed[:-16]

    def run() -> list[list[bytes]]:
        return [
            [encrypt(receiver, share.tobytes()) for receiver, share in zip(receivers, row, strict=True)]
            for row in shares
        ]

    return run


def eciespy_encrypt(shares: Bytes) -> Callable[[], list[list[bytes]]]:
    """What the first makers' relayer does."""
    receivers = [key.public_key.format(compressed=False).hex() for key in oracle_keys()]

    def run() -> list[list[bytes]]:
        return [
            [ecies.encrypt(receiver, share.tobytes()) for receiver, share in zip(receivers, row, strict=True)]
            for row in shares
        ]

    return run


# --- py_ecc: what the first makers' relayer is made of ---


def py_ecc_recover_and_check(exits: Exits) -> Callable[[], Bytes]:
    """Interpolate the decoded shares, verify the result."""
    t = exits.cluster.threshold
    values = dvtfast.lagrange_coefficients(exits.cluster.share_indices[:t])

    def run() -> Bytes:
        signatures = np.zeros((len(exits), 96), dtype=np.uint8)
        for i in range(len(exits)):
            points = [g2_primitives.signature_to_G2(row.tobytes()) for row in exits.partial_signatures[i, :t]]
            total = None
            for point, value in zip(points, values, strict=True):
                term = multiply(point, value)
                total = term if total is None else add(total, term)
            signature = g2_primitives.G2_to_signature(total)
            key, root = exits.public_keys.encoded[i].tobytes(), exits.signing_roots[i].tobytes()
            assert G2ProofOfPossession.Verify(key, root, signature)
            signatures[i] = np.frombuffer(signature, dtype=np.uint8)
        return signatures

    return run


# --- blspy: the Chia network's binding ---


def blspy_verify(triples: list[tuple[bytes, bytes, bytes]]) -> Callable[[], bool] | None:
    """Keys, roots and signatures as bytes; None where blspy is not installed."""
    try:
        from blspy import G1Element, G2Element, PopSchemeMPL
    except ImportError:
        return None
    return lambda: all(
        PopSchemeMPL.verify(G1Element.from_bytes(key), root, G2Element.from_bytes(signature))
        for key, root, signature in triples
    )


# --- @chainsafe/blst ---


class Chainsafe:
    """A Node process that verifies a batch from bytes; its own CPU time, on all its threads, counts."""

    def __init__(self, exits: Exits) -> None:
        self.cpu_seconds = 0.0
        self._process = subprocess.Popen(
            [
                "node",
                str(Path(__file__).with_name("chainsafe.cjs")),
                str(NODE_MODULES / "@chainsafe" / "blst"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        columns = (exits.public_keys.encoded, exits.signing_roots, exits.signatures)
        self._ask([[row.tobytes().hex() for row in column] for column in columns])

    @staticmethod
    def is_there() -> bool:
        """Whether Node and the package are installed."""
        return shutil.which("node") is not None and (NODE_MODULES / "@chainsafe" / "blst").exists()

    def run(self) -> bool:
        """Verify once."""
        answer = self._ask("run")
        self.cpu_seconds += answer["cpu_microseconds"] * 1e-6
        return bool(answer["ok"])

    def clock(self) -> float:
        """CPU time spent there."""
        return self.cpu_seconds

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def _ask(self, question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


# --- shared ---


def scalar_rows(values: list[int]) -> Bytes:
    """uint8[k, 32], little-endian."""
    joined = b"".join((value % CURVE_ORDER).to_bytes(32, "little") for value in values)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(values), 32)


def random_polynomials(n: int, threshold: int) -> tuple[Bytes, Bytes]:
    """Coefficients of x, x^2, ... uint8[n, t - 1, 32] little-endian, and values at 1 .. t - 1, big-endian."""
    big = random_scalars(n, threshold - 1)
    values = np.zeros_like(big)
    for i, rows in enumerate(big):
        factors = [int.from_bytes(row.tobytes(), "big") for row in rows]
        for x in range(1, threshold):
            value = sum(factor * x ** (m + 1) for m, factor in enumerate(factors)) % CURVE_ORDER
            values[i, x - 1] = np.frombuffer(value.to_bytes(32, "big"), dtype=np.uint8)
    return np.ascontiguousarray(big[:, :, ::-1]), values


def wall_clock() -> float:
    """For what runs in several threads."""
    return time.perf_counter()
