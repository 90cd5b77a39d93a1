# Batches of points: eight rows at a time where there are lanes, else one by one with blst. What lanes leave
# over, an exception or a bad encoding, is always done by blst, so that results and statuses are the same.
from libc.stdint cimport int8_t, uint8_t, uint64_t
from dvtfast._native.blst cimport *

cdef extern from "api.h" nogil:
    ctypedef struct Term "lanes_term":
        size_t share
        size_t power          # of |x|, by -psi
        const int8_t *digits  # [length], lowest first

    ctypedef struct Plan "lanes_plan":
        size_t shares, multiples, powers, length, n_terms
        const Term *terms
        const Plan *scale

    ctypedef struct Operations "lanes_operations":
        const char *name
        size_t (*scratch_bytes)(const Plan *plan, size_t k) noexcept nogil
        uint64_t (*checks)() noexcept nogil
        void (*decode_g1)(void *points, uint8_t *well, const void *rows, size_t n, int group) noexcept nogil
        void (*decode_g2)(void *points, uint8_t *well, const void *rows, size_t n, int group) noexcept nogil
        void (*in_g1)(uint8_t *well, const void *points, size_t n) noexcept nogil
        void (*in_g2)(uint8_t *well, const void *points, size_t n) noexcept nogil
        void (*hash_to_g2)(void *points, uint8_t *well, const void *uniform, size_t n, void *scratch) noexcept nogil
        void (*interpolate)(void *out, uint8_t *well, const void *shares, size_t n, const Plan *plan,
                            void *scratch) noexcept nogil
        void (*add_g1)(void *totals, uint8_t *well, const void *terms, size_t n, void *scratch) noexcept nogil
        void (*values_g1)(void *out, uint8_t *well, const void *points, size_t n, size_t t, size_t count,
                          void *scratch) noexcept nogil
        void (*weight_g1)(void *out, uint8_t *well, const void *points, const uint64_t *words, size_t n,
                          void *scratch) noexcept nogil
        void (*multiply_g2)(void *out, uint8_t *well, const void *points, const void *scalars, size_t n,
                            void *scratch) noexcept nogil
        void (*multiply_base)(void *out, uint8_t *well, const void *scalars, const uint64_t *table, size_t n,
                              void *scratch) noexcept nogil
        void (*miller)(void *out, uint8_t *well, const void *p, const void *q, size_t n, size_t group,
                       void *scratch) noexcept nogil
        void (*weighted_sums)(void *sums, uint8_t *well, const void *points, const uint64_t *words, size_t n,
                              size_t group, void *scratch) noexcept nogil
        int (*sum_by_buckets)(void *sums, int *in_group, const void *points, const uint64_t *words, size_t n,
                              void *scratch) noexcept nogil
        int (*sum_g1)(void *sums, const void *points, const uint64_t *words, size_t n, void *scratch) noexcept nogil
        void (*make_table)(void *rows, const void *points, size_t n) noexcept nogil
        void (*split_g1)(void *out, uint8_t *well, const void *points, const void *scalars, const void *table,
                         size_t n, size_t drawn, size_t k, void *scratch) noexcept nogil
        void (*split_g2)(void *out, uint8_t *well, const void *points, const void *bases, const void *scalars,
                         size_t n, size_t drawn, size_t k, void *scratch) noexcept nogil

cdef enum:
    ROWS_TOGETHER = 128  # of one call of the lanes; what they make shares an inversion
    PAIRS_TOGETHER = 32  # of one Miller value

cdef class Lanes:
    cdef const Operations *operations

# The lanes that a kernel uses, if any, and their memory.
cdef struct Engine:
    const Operations *lanes
    void *scratch     # of lanes
    uint8_t *uniform  # [ROWS_TOGETHER][256]
    void *points      # [ROWS_TOGETHER] of any kind
    char *memory
    size_t n_bytes

cdef int engine_open(Engine *engine, Lanes lanes, const Plan *plan, size_t k) noexcept
cdef void engine_close(Engine *engine) noexcept nogil

cdef void decode_p1s(const Engine *engine, blst_p1_affine *out, uint8_t *status, const uint8_t *rows, size_t n,
                     bint subgroup) noexcept nogil
cdef void decode_p2s(const Engine *engine, blst_p2_affine *out, uint8_t *status, const uint8_t *rows, size_t n,
                     bint subgroup) noexcept nogil
cdef void p1s_in_group(const Engine *engine, uint8_t *in_group, const blst_p1_affine *points, size_t n) noexcept nogil
cdef void p2s_in_group(const Engine *engine, uint8_t *in_group, const blst_p2_affine *points, size_t n) noexcept nogil
cdef void hash_roots_to(const Engine *engine, blst_p2_affine *out, const uint8_t *roots, size_t n) noexcept nogil
cdef void sign_hashes(const Engine *engine, blst_p2_affine *points, const blst_scalar *secrets, size_t n) noexcept nogil
cdef void miller_products(const Engine *engine, blst_fp12 *out, const blst_p1_affine *keys,
                          const blst_p2_affine *hashes, size_t n, size_t group) noexcept nogil

cdef void miller_product(blst_fp12 *out, const blst_p2_affine *hashes, const blst_p1_affine *keys,
                         size_t n) noexcept nogil
