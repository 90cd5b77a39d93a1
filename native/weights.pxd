# Points with the weights of a batch check, which are words: see weights.pyx.
from libc.stdint cimport uint64_t
from dvtfast._native.blst cimport *
from dvtfast._native.lanes cimport Engine

cdef size_t sum_bytes(size_t n) noexcept nogil
cdef void weigh_p1s(const Engine *engine, blst_p1_affine *out, const blst_p1_affine *points, const uint64_t *words,
                    size_t n) noexcept nogil
cdef void weighted_key_sum(const Engine *engine, blst_p1_affine *out, const blst_p1_affine *points,
                           const uint64_t *words, size_t n, void *room) noexcept nogil
cdef bint sum_in_group(const Engine *engine, blst_p2 *out, const blst_p2_affine *points, const uint64_t *words,
                       size_t n) noexcept nogil
cdef void weighted_sum(const Engine *engine, blst_p2 *out, const blst_p2_affine *points, const uint64_t *words,
                       size_t n, void *room) noexcept nogil
cdef void weighted_sums(const Engine *engine, blst_p2 *out, const blst_p2_affine *points, const uint64_t *words,
                        size_t n, size_t group, void *room) noexcept nogil
