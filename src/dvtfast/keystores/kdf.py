"""From a password to the 32-byte key of a keystore: PBKDF2 in a kernel, scrypt from hashlib.

Source: ERC-2335.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from dvtfast._files import Field
from dvtfast._native import pbkdf2 as _kernel
from dvtfast.keystores.memory import MemoryBudget

KEY_BYTES: Final = 32
SHA256_BLOCK_BYTES: Final = 64
FIRST_BLOCK: Final = (1).to_bytes(4)  # the only one, of 32 bytes (RFC 8018)
# What a file may ask for at most: some seconds, and 512 MiB.
MAX_PBKDF2_COUNT = 2**24
MAX_SCRYPT_WORK = 2**22


@dataclass(frozen=True)
class Pbkdf2:
    """PBKDF2-HMAC-SHA256 with `count` rounds."""

    count: int
    function = "pbkdf2"

    def derive(self, password: bytes, salt: bytes) -> bytes:
        """The 32-byte key."""
        hmac_key = password if len(password) <= SHA256_BLOCK_BYTES else hashlib.sha256(password).digest()
        padded = np.zeros((1, SHA256_BLOCK_BYTES), dtype=np.uint8)
        padded[0, : len(hmac_key)] = np.frombuffer(hmac_key, dtype=np.uint8)
        first = np.frombuffer(hmac.digest(hmac_key, salt + FIRST_BLOCK, "sha256"), dtype=np.uint8)
        key = np.zeros((1, KEY_BYTES), dtype=np.uint8)
        _kernel.rounds(padded, first.reshape(1, KEY_BYTES), self.count, key)
        padded.fill(0)
        return key.tobytes()

    def params(self) -> dict[str, Any]:
        """As a keystore states them."""
        return {"dklen": KEY_BYTES, "c": self.count, "prf": "hmac-sha256"}

    @property
    def memory_bytes(self) -> int:
        """What one derivation takes, as good as nothing."""
        return 0


@dataclass(frozen=True)
class Scrypt:
    """scrypt with cost `n`, block size `r`, parallelization `p`."""

    n: int
    r: int = 8
    p: int = 1
    function = "scrypt"

    def derive(self, password: bytes, salt: bytes) -> bytes:
        """The 32-byte key.

        Raises:
            ValueError: OpenSSL refuses these costs, or has not got the memory.
        """
        maxmem = 128 * self.r * (self.n + self.p + 2)  # how OpenSSL counts
        return hashlib.scrypt(
            password, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=maxmem, dklen=KEY_BYTES
        )

    def params(self) -> dict[str, Any]:
        """As a keystore states them."""
        return {"dklen": KEY_BYTES, "n": self.n, "r": self.r, "p": self.p}

    @property
    def memory_bytes(self) -> int:
        """What one derivation takes: at the usual cost 256 MiB."""
        return 128 * self.n * self.r


Kdf: TypeAlias = Pbkdf2 | Scrypt

PBKDF2_DEFAULT: Final = Pbkdf2(count=2**18)
SCRYPT_DEFAULT: Final = Scrypt(n=2**18)
# For tests and demonstrations only: such a keystore protects nothing.
PBKDF2_INSECURE: Final = Pbkdf2(count=16)


class Derivations:
    """Keys derived from any thread, each once, within the memory that there is."""

    def __init__(self) -> None:
        self._keys: dict[tuple[Kdf, bytes, bytes], Future[bytes]] = {}
        self._lock = threading.Lock()
        self._memory = MemoryBudget()

    def key(self, kdf: Kdf, password: bytes, salt: bytes) -> bytes:
        """The key, derived now or before; who wants one that is being derived waits for it.

        Raises:
            ValueError: OpenSSL refuses these costs, or has not got the memory.
        """
        wanted = (kdf, password, salt)
        with self._lock:
            is_first = wanted not in self._keys
            future = self._keys.setdefault(wanted, Future())
        if is_first:
            try:
                with self._memory.taking(kdf.memory_bytes):
                    future.set_result(kdf.derive(password, salt))
            except BaseException as error:
                future.set_exception(error)
        return future.result()


def parse_kdf(kdf: Field) -> Kdf:
    """The `kdf` object of a keystore."""
    params = kdf["params"]
    params["dklen"].integer(low=KEY_BYTES, high=KEY_BYTES)
    if kdf["function"].text() == Pbkdf2.function:
        params["prf"].expect("hmac-sha256")
        return Pbkdf2(params["c"].integer(low=1, high=MAX_PBKDF2_COUNT))
    kdf["function"].expect(Scrypt.function)
    n, r, p = (params[name].integer(low=1, high=MAX_SCRYPT_WORK) for name in ("n", "r", "p"))
    if n < 2 or n & (n - 1):
        raise params["n"].wrong("expected a power of two")
    if n * r * p > MAX_SCRYPT_WORK:
        raise params.wrong(f"expected n * r * p of at most {MAX_SCRYPT_WORK}")
    return Scrypt(n, r, p)
