"""SHA-256 Merkle roots of the fixed-size containers that are signed, and hashes of rows for other trees.

Layouts: consensus-specs, phase0/beacon-chain.md (containers) and ssz/simple-serialize.md
(merkleization). H(a || b) is SHA-256 of two 32-byte chunks.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from dvtfast._native.blst cimport blst_sha256
from dvtfast._native.roots cimport exit_root, parent, uint64_chunk


cdef inline void public_key_root(uint8_t *out, const uint8_t *public_key) noexcept nogil:
    """Bytes48: H(key || 16 zero bytes)."""
    cdef uint8_t both[64]
    memset(both, 0, 64)
    memcpy(both, public_key, 48)
    blst_sha256(out, both, 64)


cdef inline void signature_root(uint8_t *out, const uint8_t *signature) noexcept nogil:
    """Bytes96: H(H(s[0:64]) || H(s[64:96] || zero chunk))."""
    cdef uint8_t both[64]
    cdef uint8_t left[32]
    blst_sha256(left, signature, 64)
    memset(both, 0, 64)
    memcpy(both, signature + 64, 32)
    blst_sha256(out, both, 64)
    parent(out, left, out)


def signing_roots(const uint8_t[:, ::1] object_roots not None, const uint8_t[::1] domain not None,
                  uint8_t[:, ::1] roots not None):
    """SigningData: H(object_root || domain)."""
    cdef size_t i, n = object_roots.shape[0]
    if (object_roots.shape[1] != 32 or domain.shape[0] != 32 or roots.shape[0] != n
            or roots.shape[1] != 32):
        raise ValueError("signing_roots: shapes disagree")
    with nogil:
        for i in range(n):
            parent(&roots[i, 0], &object_roots[i, 0], &domain[0])


def exit_roots(uint64_t epoch, const uint64_t[::1] validator_indices not None, uint8_t[:, ::1] roots not None):
    """VoluntaryExit{epoch, validator_index}."""
    cdef size_t i, n = validator_indices.shape[0]
    if roots.shape[0] != n or roots.shape[1] != 32:
        raise ValueError("exit_roots: shapes disagree")
    with nogil:
        for i in range(n):
            exit_root(&roots[i, 0], epoch, validator_indices[i])


def deposit_roots(const uint8_t[:, ::1] public_keys not None, const uint8_t[:, ::1] credentials not None,
                  const uint64_t[::1] amounts not None, const uint8_t[:, ::1] signatures,
                  uint8_t[:, ::1] roots not None):
    """DepositData, or DepositMessage when `signatures` is None: H(H(key || credentials) || H(amount || s))."""
    cdef uint8_t left[32]
    cdef uint8_t amount[32]
    cdef uint8_t last[32]
    cdef bint signed_ = signatures is not None
    cdef size_t i, n = public_keys.shape[0]
    if (public_keys.shape[1] != 48 or credentials.shape[0] != n or credentials.shape[1] != 32
            or amounts.shape[0] != n or roots.shape[0] != n or roots.shape[1] != 32):
        raise ValueError("deposit_roots: shapes disagree")
    if signed_ and (signatures.shape[0] != n or signatures.shape[1] != 96):
        raise ValueError("deposit_roots: shapes disagree")
    with nogil:
        memset(last, 0, 32)
        for i in range(n):
            public_key_root(left, &public_keys[i, 0])
            parent(left, left, &credentials[i, 0])
            uint64_chunk(amount, amounts[i])
            if signed_:
                signature_root(last, &signatures[i, 0])
            parent(amount, amount, last)
            parent(&roots[i, 0], left, amount)


def hash_rows(uint8_t prefix, const uint8_t[:, ::1] rows not None, uint8_t[:, ::1] digests not None):
    """SHA-256(prefix || row) of each row."""
    cdef size_t i, n = rows.shape[0], width = rows.shape[1]
    if width == 0 or digests.shape[0] != n or digests.shape[1] != 32:
        raise ValueError("hash_rows: shapes disagree")
    cdef uint8_t *text = <uint8_t *> malloc(width + 1)
    if text == NULL:
        raise MemoryError("hash_rows: no memory for a row")
    with nogil:
        text[0] = prefix
        for i in range(n):
            memcpy(text + 1, &rows[i, 0], width)
            blst_sha256(&digests[i, 0], text, width + 1)
    free(text)
