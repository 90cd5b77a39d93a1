# A batch of equations e(public_key, hash of root) == e(G1, signature).
from libc.stdint cimport uint8_t, uint64_t
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport Engine

cdef struct Equations:
    size_t n
    size_t *rows
    blst_p1_affine *public_keys
    blst_p2_affine *hashes
    blst_p2_affine *signatures
    uint64_t *weights

cdef int equations_open(Equations *equations, size_t capacity) noexcept nogil
cdef void equations_add(Equations *equations, size_t row, const blst_p1_affine *public_key,
                        const blst_p2_affine *root_hash, const blst_p2_affine *signature,
                        uint64_t weight) noexcept nogil
cdef int equations_judge(Equations *equations, uint8_t *status, const Engine *engine) noexcept nogil
cdef void equations_hold(const Engine *engine, uint8_t *status, const blst_p1_affine *public_keys,
                         const blst_p2_affine *hashes, const blst_p2_affine *signatures, size_t n) noexcept nogil
cdef void equations_close(Equations *equations) noexcept nogil
cdef bint pairing_holds(const blst_fp12 *miller, const blst_p2 *signature) noexcept nogil
