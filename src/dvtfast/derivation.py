"""Secret keys from a seed: a tree of keys, and where in it those of a validator are.

A key leads to all keys below it, and to none above. All is hashes and a reduction modulo r, constant-time
in the secrets, and what comes in between is wiped. A child costs 1,500 hashes, about a millisecond.

Source: EIP-2333 (the tree), EIP-2334 (the paths), BIP-39 (a seed from words).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from dvtfast._arrays import Bytes, Rows, Uint64s, as_uint64s
from dvtfast._extras import needs_extra
from dvtfast._native import scalars as _kernel
from dvtfast._secrets import secret_rows, wiped
from dvtfast.constants import SECRET_KEY_BYTES
from dvtfast.errors import InputError
from dvtfast.keys import require_secret_keys

MIN_SEED_BYTES: Final = 32
# EIP-2334: what BLS12-381 keys and Ethereum's validators have in common.
PURPOSE: Final = 12381
COIN_TYPE: Final = 3600
MAX_INDEX: Final = 2**32 - 1
IS_PATH: Final = re.compile(r"m(/(0|[1-9][0-9]{0,9})){0,255}")
# BIP-39: 128 to 256 bits of entropy, 11 bits a word.
WORD_COUNTS: Final = (12, 15, 18, 21, 24)

# SHA-256 and HMAC; parts of one half of a Lamport key.
HASH_BYTES: Final = 32
BLOCK_BYTES: Final = 64
INNER_PAD, OUTER_PAD = 0x36, 0x5C
LAMPORT_PARTS: Final = 255
# What a scalar is drawn with: of 48 bytes (KeyGen of the IETF BLS draft 04).
KEYGEN_SALT: Final = np.frombuffer(hashlib.sha256(b"BLS-SIG-KEYGEN-SALT-").digest(), dtype=np.uint8)
KEYGEN_INFO: Final = np.frombuffer((48).to_bytes(2), dtype=np.uint8).reshape(1, 2)

# What a function accepts as a seed: at least 32 bytes.
Seed: TypeAlias = "Bytes | bytes | bytearray | memoryview"


def mnemonic_to_seed(mnemonic: str, *, passphrase: str = "") -> Bytes:
    """The seed uint8[64] that 12 to 24 words of BIP-39 stand for, in any language that it has lists of.

    Another passphrase is another seed; nothing says which is the right one. Words and passphrase are texts of
    Python, which cannot be wiped, and looking the words up takes a time that depends on them.

    Raises:
        InputError: not the words of one list, or their checksum is wrong; no word is in the message.
        MissingExtraError: the extra `mnemonic` is not installed.
    """
    with needs_extra("mnemonic"):
        from mnemonic import Mnemonic
    if not isinstance(mnemonic, str) or not isinstance(passphrase, str):
        raise InputError("mnemonic, passphrase: expected texts")
    words = unicodedata.normalize("NFKD", mnemonic).split()
    if len(words) not in WORD_COUNTS:
        raise InputError(f"mnemonic: expected 12, 15, 18, 21 or 24 words, got {len(words)}")
    text = " ".join(words)
    languages = [Mnemonic(language) for language in Mnemonic.list_languages()]
    if not any(language.check(text) for language in languages):
        raise InputError(f"mnemonic: {_fault(words, [frozenset(each.wordlist) for each in languages])}")
    try:
        return np.frombuffer(bytearray(Mnemonic.to_seed(text, passphrase)), dtype=np.uint8)
    except UnicodeEncodeError:  # which has the whole text
        raise InputError("passphrase: expected a text that UTF-8 has") from None


def derive_master_key(seed: Seed) -> Bytes:
    """The secret key uint8[32] at the root of the tree of a seed, `m`.

    Args:
        seed: at least 32 bytes that nobody can guess; of a mnemonic 64.

    Raises:
        InputError: it is something else.
    """
    if isinstance(seed, bytes | bytearray | memoryview):
        seed = np.asarray(memoryview(seed))
    if not isinstance(seed, np.ndarray) or seed.dtype != np.uint8 or seed.ndim != 1:
        raise InputError(f"seed: expected at least {MIN_SEED_BYTES} bytes, got {type(seed).__name__}")
    if len(seed) < MIN_SEED_BYTES:
        raise InputError(f"seed: expected at least {MIN_SEED_BYTES} bytes, got {len(seed)}")
    master = np.zeros(SECRET_KEY_BYTES, dtype=np.uint8)
    _key_of_hash(seed, master[np.newaxis])
    return master


def derive_child_keys(secret_keys: Rows, indices: Any) -> Bytes:
    """Secret keys uint8[n, 32]: of each of n parents uint8[n, 32] the child at its index.

    Args:
        secret_keys: the parents, or the lone one of all children.
        indices: n integers of 0..2^32-1, or one for all parents; one of a lone parent gives a lone row.

    Raises:
        InputError: an index is out of range, or there are not as many as parents.
        EncodingError: a parent is 0 or not below r.
    """
    with secret_rows("secret_keys", secret_keys, SECRET_KEY_BYTES) as (parents, is_lone):
        numbers, is_one = _as_indices("indices", indices)
        n = len(numbers) if is_lone else len(parents)
        if len(numbers) != n and not is_one:
            raise InputError(f"indices: expected as many as secret_keys, {n}, got {len(numbers)}")
        require_secret_keys(parents)
        children = np.zeros((n, SECRET_KEY_BYTES), dtype=np.uint8)
        for i in range(n):
            parent, index = parents[0 if is_lone else i], int(numbers[0 if is_one else i])
            _child(parent, index, children[i : i + 1])
    return children[0] if is_lone and is_one else children


def derive_secret_key(seed: Seed, path: str) -> Bytes:
    """The secret key uint8[32] at a path such as `m/12381/3600/0/0/0`.

    Raises:
        InputError: a seed below 32 bytes, or no path: EIP-2333 has no hardened indices (`0'`).
    """
    if not isinstance(path, str) or not IS_PATH.fullmatch(path):
        raise InputError(f"path: expected one such as {signing_path(0)}, got {path!r:.80}")
    return _descend(derive_master_key(seed), [int(part) for part in path.split("/")[1:]])


def derive_signing_keys(seed: Seed, accounts: Any) -> Bytes:
    """Secret keys uint8[n, 32] that validators sign their duties with: `m/12381/3600/i/0/0`.

    Args:
        seed: at least 32 bytes.
        accounts: n integers i of 0..2^32-1, such as `range(100)`; a lone one gives a lone row.

    Raises:
        InputError: a seed below 32 bytes, or an account out of range.
    """
    withdrawal = derive_withdrawal_keys(seed, accounts)
    with wiped(withdrawal):
        return derive_child_keys(withdrawal, 0)


def derive_withdrawal_keys(seed: Seed, accounts: Any) -> Bytes:
    """Secret keys uint8[n, 32] of BLS withdrawals (0x00): `m/12381/3600/i/0`; see `derive_signing_keys`."""
    root = _descend(derive_master_key(seed), [PURPOSE, COIN_TYPE])
    with wiped(root):
        keys = derive_child_keys(root, accounts)
    with wiped(keys):
        return derive_child_keys(keys, 0)


def signing_path(account: int) -> str:
    """The path of a validator's signing key, as its keystore states it."""
    (number,), _ = _as_indices("account", account)
    return f"m/{PURPOSE}/{COIN_TYPE}/{number}/0/0"


def _descend(key: Bytes, indices: Sequence[int]) -> Bytes:
    """The key below `key`, which is wiped, one child after the other."""
    for index in indices:
        with wiped(key):
            key = derive_child_keys(key, index)
    return key


def _as_indices(name: str, values: Any) -> tuple[Uint64s, bool]:
    """Indices uint64[n] below 2^32, and whether a lone one came."""
    indices = as_uint64s(name, values)
    if indices.ndim > 1 or (indices > MAX_INDEX).any():
        raise InputError(f"{name}: expected integers of 0..2^32-1")
    return indices.reshape(-1), indices.ndim == 0


def _fault(words: Sequence[str], lists: Sequence[frozenset[str]]) -> str:
    """What is wrong with words, without saying them: of the list that has most of them, which it has not."""
    unknown = min(([i for i, word in enumerate(words, 1) if word not in each] for each in lists), key=len)
    if not unknown:
        return "the checksum is wrong: a word is another one, or not in its place"
    return f"not the words of one list: see word {', '.join(map(str, unknown))}"


def _child(parent: Bytes, index: int, child: Bytes) -> None:
    """`derive_child_SK` into uint8[1, 32]: by way of a Lamport key, whose public half is hashed."""
    public = np.zeros((2, LAMPORT_PARTS, HASH_BYTES), dtype=np.uint8)
    digest = np.zeros(HASH_BYTES, dtype=np.uint8)
    inverted, salt = ~parent, np.frombuffer(index.to_bytes(4), dtype=np.uint8)
    with wiped(public, digest, inverted):
        _lamport_public(parent, salt, public[0])
        _lamport_public(inverted, salt, public[1])
        _kernel.hash_secret(public.reshape(-1), digest)
        _key_of_hash(digest, child)


def _lamport_public(secret: Bytes, salt: Bytes, public: Bytes) -> None:
    """The hashes uint8[255, 32] of `IKM_to_lamport_SK`, which is all that HKDF-Expand can give of SHA-256."""
    key = np.zeros(HASH_BYTES, dtype=np.uint8)
    # HMAC's texts: a block of the key, then the last part and a counter; such a block, and the inner digest.
    inner = np.full(BLOCK_BYTES + HASH_BYTES + 1, INNER_PAD, dtype=np.uint8)
    outer = np.full(BLOCK_BYTES + HASH_BYTES, OUTER_PAD, dtype=np.uint8)
    with wiped(key, inner, outer):
        _hmac(salt, secret, key)
        inner[:HASH_BYTES] ^= key
        outer[:HASH_BYTES] ^= key
        part, digest = inner[BLOCK_BYTES:-1], outer[BLOCK_BYTES:]
        text = inner[: BLOCK_BYTES + 1]  # before the first part there is none
        text[-1] = 1
        for i, row in enumerate(public):
            _kernel.hash_secret(text, digest)
            _kernel.hash_secret(outer, part)
            _kernel.hash_secret(part, row)
            text = inner
            text[-1] = (i + 2) % 256


def _key_of_hash(secret: Bytes, key: Bytes) -> None:
    """`HKDF_mod_r` of at least 32 bytes into uint8[1, 32].

    A key of 0, which nobody will see, becomes 1: EIP-2333 would hash again.
    """
    text, pseudorandom = np.append(secret, np.uint8(0)), np.zeros(HASH_BYTES, dtype=np.uint8)
    with wiped(text, pseudorandom):
        _hmac(KEYGEN_SALT, text, pseudorandom)
        _kernel.expand_scalars(pseudorandom, KEYGEN_INFO, key)


def _hmac(key: Bytes, text: Bytes, out: Bytes) -> None:
    """HMAC-SHA256 (RFC 2104) with a key of at most a block, put into uint8[32]."""
    inner = np.full(BLOCK_BYTES + len(text), INNER_PAD, dtype=np.uint8)
    outer = np.full(BLOCK_BYTES + HASH_BYTES, OUTER_PAD, dtype=np.uint8)
    with wiped(inner, outer):
        inner[: len(key)] ^= key
        outer[: len(key)] ^= key
        inner[BLOCK_BYTES:] = text
        _kernel.hash_secret(inner, outer[BLOCK_BYTES:])
        _kernel.hash_secret(outer, out)
