"""The rounds of PBKDF2-HMAC-SHA256, for keys of one block (RFC 8018, section 5.2).

OpenSSL 3.0 goes through its generic digests for every round, which costs more than the hashing where the
processor has SHA instructions: 60 ms of CPU time for 2^18 rounds on a Zen 4, beside 23 ms here.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from dvtfast._native.blst cimport blst_sha256_block_data_order, wipe

cdef enum:
    WORDS = 8
    BLOCK_BYTES = 64
    DIGEST_BYTES = 32

cdef uint32_t[WORDS] INITIAL = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]


cdef struct Scratch:
    uint32_t inner[WORDS]  # the state after the first block of either hash, which is the same in all rounds
    uint32_t outer[WORDS]
    uint32_t state[WORDS]
    uint8_t pad[BLOCK_BYTES]
    uint8_t block[BLOCK_BYTES]  # a digest as the second and last block of a hash
    uint32_t total[WORDS]


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* The eight words of a state as bytes, big-endian, and back. Who reads them next reads 16 bytes at once, which
       waits long for bytes that are stored one by one: 34 ms instead of 23. */
    typedef uint32_t dvtfast_words __attribute__((vector_size(16)));
    static inline void emit(uint8_t *out, const uint32_t *state) {
        for (int i = 0; i < 2; i++) {
            dvtfast_words w;
            memcpy(&w, state + 4 * i, 16);
            w = w << 24 | (w & 0xff00) << 8 | (w >> 8 & 0xff00) | w >> 24;
            memcpy(out + 16 * i, &w, 16);
        }
    }
    """
    void emit(uint8_t *out, const uint32_t *state) noexcept nogil


cdef void first_state(uint32_t *state, const uint8_t *key, uint8_t value, Scratch *s) noexcept nogil:
    """The state after the block key XOR value, value, ..."""
    cdef size_t i
    for i in range(BLOCK_BYTES):
        s.pad[i] = key[i] ^ value
    memcpy(state, INITIAL, sizeof(INITIAL))
    blst_sha256_block_data_order(state, s.pad, 1)


cdef void all_rounds(uint8_t *derived, const uint8_t *key, const uint8_t *first, uint64_t count,
                     Scratch *s) noexcept nogil:
    """derived = U1 XOR U2 XOR ... with U1 = first and the next HMAC(key, U)."""
    cdef uint64_t done
    cdef size_t i
    first_state(s.inner, key, 0x36, s)
    first_state(s.outer, key, 0x5c, s)
    memset(s.block, 0, BLOCK_BYTES)
    memcpy(s.block, first, DIGEST_BYTES)
    s.block[DIGEST_BYTES] = 0x80
    s.block[BLOCK_BYTES - 2] = 0x03  # 768 bits, big-endian: a block and a digest
    emit(<uint8_t *> s.total, <const uint32_t *> first)
    for done in range(1, count):
        memcpy(s.state, s.inner, sizeof(s.state))
        blst_sha256_block_data_order(s.state, s.block, 1)
        emit(s.block, s.state)
        memcpy(s.state, s.outer, sizeof(s.state))
        blst_sha256_block_data_order(s.state, s.block, 1)
        emit(s.block, s.state)
        for i in range(WORDS):
            s.total[i] ^= s.state[i]
    emit(derived, s.total)


def rounds(const uint8_t[:, ::1] keys not None, const uint8_t[:, ::1] firsts not None, uint64_t count,
           uint8_t[:, ::1] derived not None):
    """Derived keys uint8[n, 32] of HMAC keys uint8[n, 64], padded, and their first rounds uint8[n, 32].

    `count` is of all rounds, the first included.
    """
    cdef size_t i, n = keys.shape[0]
    cdef Scratch scratch
    if (keys.shape[1] != BLOCK_BYTES or firsts.shape[0] != n or firsts.shape[1] != DIGEST_BYTES
            or derived.shape[0] != n or derived.shape[1] != DIGEST_BYTES):
        raise ValueError("rounds: shapes disagree")
    with nogil:
        for i in range(n):
            all_rounds(&derived[i, 0], &keys[i, 0], &firsts[i, 0], count, &scratch)
        wipe(&scratch, sizeof(scratch))
