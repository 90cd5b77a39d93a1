"""Secret scalars modulo r: drawn from a key, added, weighted. Constant-time in their values.

A scalar is 32 big-endian bytes; one that comes from outside is OK below r, also when it is 0.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset
from dvtfast._native.blst cimport *
from dvtfast._native.status cimport Status

cdef extern from "api.h" nogil:
    enum:
        DIGIT_BIAS "LANES_DIGIT_BIAS"

cdef enum:
    HASH_BYTES = 32
    BLOCK_BYTES = 64     # of SHA-256
    WIDE_BYTES = 48      # reduced modulo r they leave a bias below 2^-128
    WEIGHT_BYTES = 16
    MOST_INFO_BYTES = 64


cdef struct Hmac:  # what a key makes of its first block, and of the second one's first block
    uint8_t inner[BLOCK_BYTES + HASH_BYTES + MOST_INFO_BYTES + 1]
    uint8_t outer[BLOCK_BYTES + HASH_BYTES]


cdef void hmac_open(Hmac *hmac, const uint8_t *key) noexcept nogil:
    """HMAC-SHA256 with a key of 32 bytes (RFC 2104)."""
    cdef size_t i
    memset(hmac, 0, sizeof(Hmac))
    memcpy(hmac.inner, key, HASH_BYTES)
    memcpy(hmac.outer, key, HASH_BYTES)
    for i in range(BLOCK_BYTES):
        hmac.inner[i] ^= 0x36
        hmac.outer[i] ^= 0x5c


cdef void hmac_run(uint8_t *out, Hmac *hmac, size_t n) noexcept nogil:
    """out = the HMAC of the n bytes that follow the first block of `inner`."""
    blst_sha256(hmac.outer + BLOCK_BYTES, hmac.inner, BLOCK_BYTES + n)
    blst_sha256(out, hmac.outer, BLOCK_BYTES + HASH_BYTES)


def expand_scalars(const uint8_t[::1] key not None, const uint8_t[:, ::1] infos not None,
                   uint8_t[:, ::1] scalars not None):
    """Scalars uint8[n, 32] of 1..r-1 from a uniform key of 32 bytes, one for each of infos uint8[n, w], w of 1..64.

    48 bytes of HKDF-Expand with SHA-256 (RFC 5869), big-endian, modulo r; 0, which nobody will see, becomes 1.
    """
    cdef Hmac hmac
    cdef blst_scalar scalar
    cdef uint8_t wide[2 * HASH_BYTES]
    cdef uint8_t *text = hmac.inner + BLOCK_BYTES
    cdef size_t i, n = infos.shape[0], w = infos.shape[1]
    if key.shape[0] != HASH_BYTES or not 1 <= w <= MOST_INFO_BYTES or scalars.shape[0] != n or scalars.shape[1] != 32:
        raise ValueError("expand_scalars: shapes disagree")
    with nogil:
        hmac_open(&hmac, &key[0])
        for i in range(n):
            memcpy(text, &infos[i, 0], w)
            text[w] = 1
            hmac_run(wide, &hmac, w + 1)
            memcpy(text, wide, HASH_BYTES)
            memcpy(text + HASH_BYTES, &infos[i, 0], w)
            text[HASH_BYTES + w] = 2
            hmac_run(wide + HASH_BYTES, &hmac, HASH_BYTES + w + 1)
            if not blst_scalar_from_be_bytes(&scalar, wide, WIDE_BYTES):
                memset(&scalar, 0, sizeof(scalar))
                scalar.b[0] = 1
            blst_bendian_from_scalar(&scalars[i, 0], &scalar)
        wipe(&hmac, sizeof(hmac))
        wipe(&scalar, sizeof(scalar))
        wipe(wide, sizeof(wide))


def hash_secret(const uint8_t[::1] secret not None, uint8_t[::1] digest not None):
    """The SHA-256 of bytes, not empty, put into digest uint8[32] without a copy."""
    if digest.shape[0] != HASH_BYTES or secret.shape[0] == 0:
        raise ValueError("hash_secret: shapes disagree")
    with nogil:
        blst_sha256(&digest[0], &secret[0], secret.shape[0])


cdef inline Status read_fr(blst_fr *out, const uint8_t *row) noexcept nogil:
    cdef blst_scalar scalar
    cdef Status status
    blst_scalar_from_bendian(&scalar, row)
    status = Status.OK if blst_scalar_fr_check(&scalar) else Status.BAD_SCALAR
    blst_fr_from_scalar(out, &scalar)
    wipe(&scalar, sizeof(scalar))
    return status


cdef inline void write_fr(uint8_t *row, const blst_fr *value) noexcept nogil:
    cdef blst_scalar scalar
    blst_scalar_from_fr(&scalar, value)
    blst_bendian_from_scalar(row, &scalar)
    wipe(&scalar, sizeof(scalar))


def check_scalars(const uint8_t[:, ::1] scalars not None, uint8_t[::1] status not None):
    """OK for each of scalars uint8[n, 32] below r."""
    cdef blst_scalar scalar
    cdef size_t i, n = scalars.shape[0]
    if scalars.shape[1] != 32 or status.shape[0] != n:
        raise ValueError("check_scalars: shapes disagree")
    with nogil:
        for i in range(n):
            blst_scalar_from_bendian(&scalar, &scalars[i, 0])
            status[i] = Status.OK if blst_scalar_fr_check(&scalar) else Status.BAD_SCALAR
        wipe(&scalar, sizeof(scalar))


def add_scalars(uint8_t[:, ::1] totals not None, const uint8_t[:, ::1] terms not None, uint8_t[::1] status not None):
    """totals[i] += terms[i], uint8[n, 32] both; totals are below r. Where a term is not, status[i] says so."""
    cdef blst_fr total, term
    cdef size_t i, n = totals.shape[0]
    if totals.shape[1] != 32 or terms.shape[0] != n or terms.shape[1] != 32 or status.shape[0] != n:
        raise ValueError("add_scalars: shapes disagree")
    with nogil:
        for i in range(n):
            status[i] = read_fr(&term, &terms[i, 0])
            if status[i] == Status.OK:
                read_fr(&total, &totals[i, 0])
                blst_fr_add(&total, &total, &term)
                write_fr(&totals[i, 0], &total)
        wipe(&total, sizeof(total))
        wipe(&term, sizeof(term))


def weigh_scalars(const uint8_t[:, ::1] scalars not None, const uint8_t[:, ::1] weights not None,
                  uint8_t[::1] total not None):
    """total uint8[32] += the sum of weights uint8[n, 16] times scalars uint8[n, 32], all below r.

    A weight is the number less 0x8080..80, as in commitments.pyx.
    """
    cdef blst_fr acc, scalar, weight, bias
    cdef uint8_t row[32]
    cdef size_t i, n = scalars.shape[0]
    if scalars.shape[1] != 32 or weights.shape[0] != n or weights.shape[1] != WEIGHT_BYTES or total.shape[0] != 32:
        raise ValueError("weigh_scalars: shapes disagree")
    with nogil:
        memset(row, 0, sizeof(row))
        memset(row + WEIGHT_BYTES, DIGIT_BIAS, WEIGHT_BYTES)
        read_fr(&bias, row)
        read_fr(&acc, &total[0])
        for i in range(n):
            read_fr(&scalar, &scalars[i, 0])
            memcpy(row + WEIGHT_BYTES, &weights[i, 0], WEIGHT_BYTES)
            read_fr(&weight, row)
            blst_fr_sub(&weight, &weight, &bias)
            blst_fr_mul(&scalar, &scalar, &weight)
            blst_fr_add(&acc, &acc, &scalar)
        write_fr(&total[0], &acc)
        wipe(&acc, sizeof(acc))
        wipe(&scalar, sizeof(scalar))


def draw_challenges(const uint8_t[::1] transcript not None, uint8_t[:, ::1] challenges not None):
    """challenges[i], uint8[n, 16] = the first half of SHA-256(transcript uint8[32] || i as 4 bytes, big-endian)."""
    cdef uint8_t text[HASH_BYTES + 4]
    cdef uint8_t digest[HASH_BYTES]
    cdef size_t i, j, n = challenges.shape[0]
    if transcript.shape[0] != HASH_BYTES or challenges.shape[1] != WEIGHT_BYTES or n >> 32:
        raise ValueError("draw_challenges: shapes disagree")
    with nogil:
        memcpy(text, &transcript[0], HASH_BYTES)
        for i in range(n):
            for j in range(4):
                text[HASH_BYTES + j] = <uint8_t> (i >> (24 - 8 * j))
            blst_sha256(digest, text, sizeof(text))
            memcpy(&challenges[i, 0], digest, WEIGHT_BYTES)
