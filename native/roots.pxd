# Merkle roots that other kernels make, too.
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset
from dvtfast._native.blst cimport blst_sha256


cdef inline void parent(uint8_t *out, const uint8_t *left, const uint8_t *right) noexcept nogil:
    """out = H(left || right); out may be either of them."""
    cdef uint8_t both[64]
    memcpy(both, left, 32)
    memcpy(both + 32, right, 32)
    blst_sha256(out, both, 64)


cdef inline void uint64_chunk(uint8_t *out, uint64_t value) noexcept nogil:
    """A uint64 as one chunk, little-endian, zero-padded."""
    cdef size_t i
    memset(out, 0, 32)
    for i in range(8):
        out[i] = <uint8_t> (value >> (8 * i))


cdef inline void exit_root(uint8_t *out, uint64_t epoch, uint64_t validator_index) noexcept nogil:
    """VoluntaryExit{epoch, validator_index}: H(epoch || index)."""
    cdef uint8_t epoch_chunk[32]
    uint64_chunk(epoch_chunk, epoch)
    uint64_chunk(out, validator_index)
    parent(out, epoch_chunk, out)
