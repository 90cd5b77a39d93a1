"""Secret scalars modulo r: drawn from a key, added, weighted. Constant-time in their values.

A scalar is 32 big-endian bytes; one that comes from outside is OK below r, also when it is 0.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from dvtfast._native.blst cimport *
from dvtfast._native.status cimport Status

cdef extern from "api.h" nogil:
    enum:
        DIGIT_BIAS "LANES_DIGIT_BIAS"

cdef extern from * nogil:
    uint32_t swap_bytes "__builtin_bswap32"(uint32_t word)

cdef enum:
    HASH_BYTES = 32
    BLOCK_BYTES = 64     # of SHA-256
    WIDE_BYTES = 48      # reduced modulo r they leave a bias below 2^-128
    WEIGHT_BYTES = 16
    MOST_INFO_BYTES = 64  # with a digest before and a byte behind it these are two blocks


cdef uint32_t[8] INITIAL = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]


cdef struct Hmac:  # HMAC-SHA256 with one key (RFC 2104)
    uint32_t inner[8]  # the states after the first block of either hash
    uint32_t outer[8]
    uint32_t state[8]
    uint8_t text[2 * BLOCK_BYTES]  # what is hashed, then its padding


cdef void hmac_open(Hmac *hmac, const uint8_t *key) noexcept nogil:
    """A key of 32 bytes."""
    cdef size_t i
    memset(hmac, 0, sizeof(Hmac))
    memcpy(hmac.inner, INITIAL, sizeof(INITIAL))
    memcpy(hmac.outer, INITIAL, sizeof(INITIAL))
    for i in range(BLOCK_BYTES):
        hmac.text[i] = (key[i] if i < HASH_BYTES else 0) ^ 0x36
        hmac.text[BLOCK_BYTES + i] = hmac.text[i] ^ 0x36 ^ 0x5c
    blst_sha256_block_data_order(hmac.inner, hmac.text, 1)
    blst_sha256_block_data_order(hmac.outer, hmac.text + BLOCK_BYTES, 1)


cdef inline void finish(Hmac *hmac, uint8_t *digest, const uint32_t *start, size_t n) noexcept nogil:
    """digest = the hash from this state on of the first n bytes of the text, at most 119, after one block."""
    cdef size_t i, blocks = 1 if n < BLOCK_BYTES - 8 else 2, bits = 8 * (BLOCK_BYTES + n)
    cdef uint32_t word
    memset(hmac.text + n, 0, blocks * BLOCK_BYTES - n)
    hmac.text[n] = 0x80
    hmac.text[blocks * BLOCK_BYTES - 2] = <uint8_t> (bits >> 8)
    hmac.text[blocks * BLOCK_BYTES - 1] = <uint8_t> bits
    memcpy(hmac.state, start, sizeof(hmac.state))
    blst_sha256_block_data_order(hmac.state, hmac.text, blocks)
    for i in range(8):
        word = swap_bytes(hmac.state[i])
        memcpy(digest + 4 * i, &word, 4)


cdef inline void hmac_run(Hmac *hmac, uint8_t *out, size_t n) noexcept nogil:
    """out = the HMAC of the first n bytes of the text."""
    finish(hmac, out, hmac.inner, n)
    memcpy(hmac.text, out, HASH_BYTES)
    finish(hmac, out, hmac.outer, HASH_BYTES)


def expand_scalars(const uint8_t[::1] key not None, const uint8_t[:, ::1] infos not None,
                   uint8_t[:, ::1] scalars not None):
    """Scalars uint8[n, 32] of 1..r-1 from a uniform key of 32 bytes, one for each of infos uint8[n, w], w of 1..64.

    48 bytes of HKDF-Expand with SHA-256 (RFC 5869), big-endian, modulo r; 0, which nobody will see, becomes 1.
    """
    cdef Hmac hmac
    cdef blst_scalar scalar
    cdef uint8_t wide[2 * HASH_BYTES]
    cdef size_t i, n = infos.shape[0], w = infos.shape[1]
    if key.shape[0] != HASH_BYTES or not 1 <= w <= MOST_INFO_BYTES or scalars.shape[0] != n or scalars.shape[1] != 32:
        raise ValueError("expand_scalars: shapes disagree")
    with nogil:
        hmac_open(&hmac, &key[0])
        for i in range(n):
            memcpy(hmac.text, &infos[i, 0], w)
            hmac.text[w] = 1
            hmac_run(&hmac, wide, w + 1)
            memcpy(hmac.text, wide, HASH_BYTES)
            memcpy(hmac.text + HASH_BYTES, &infos[i, 0], w)
            hmac.text[HASH_BYTES + w] = 2
            hmac_run(&hmac, wide + HASH_BYTES, HASH_BYTES + w + 1)
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
    cdef blst_scalar total, term
    cdef size_t i, n = totals.shape[0]
    if totals.shape[1] != 32 or terms.shape[0] != n or terms.shape[1] != 32 or status.shape[0] != n:
        raise ValueError("add_scalars: shapes disagree")
    with nogil:
        for i in range(n):
            blst_scalar_from_bendian(&term, &terms[i, 0])
            status[i] = Status.OK if blst_scalar_fr_check(&term) else Status.BAD_SCALAR
            if status[i] == Status.OK:
                blst_scalar_from_bendian(&total, &totals[i, 0])
                blst_sk_add_n_check(&total, &total, &term)
                blst_bendian_from_scalar(&totals[i, 0], &total)
        wipe(&total, sizeof(total))
        wipe(&term, sizeof(term))


def evaluate_each(const uint8_t[:, :, ::1] coefficients not None, const uint64_t[::1] share_indices not None,
                  uint8_t[:, :, ::1] values not None):
    """Values uint8[k, n, 32] at k share indices of n polynomials uint8[n, t, 32], constant term first, all below r."""
    cdef blst_fr x, acc
    cdef size_t i, j, m, n = coefficients.shape[0], t = coefficients.shape[1], k = share_indices.shape[0]
    cdef uint64_t words[4]
    if coefficients.shape[2] != 32 or t == 0 or values.shape[0] != k or values.shape[1] != n or values.shape[2] != 32:
        raise ValueError("evaluate_each: shapes disagree")
    cdef blst_fr *own = <blst_fr *> malloc((t + k) * sizeof(blst_fr))
    if own == NULL:
        raise MemoryError("evaluate_each: no memory for the batch")
    cdef blst_fr *indices = own + t
    with nogil:
        for j in range(k):
            words[0], words[1], words[2], words[3] = share_indices[j], 0, 0, 0
            blst_fr_from_uint64(&indices[j], words)
        for i in range(n):
            for m in range(t):
                read_fr(&own[m], &coefficients[i, m, 0])
            for j in range(k):
                acc = own[t - 1]
                for m in range(t - 1):  # Horner, highest coefficient first
                    blst_fr_mul(&acc, &acc, &indices[j])
                    blst_fr_add(&acc, &acc, &own[t - 2 - m])
                write_fr(&values[j, i, 0], &acc)
        wipe(own, t * sizeof(blst_fr))
        wipe(&acc, sizeof(acc))
        free(own)


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
